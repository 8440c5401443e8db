"""The scripted experts of MiniWoB++ by task: they use mouse and keyboard only, and put each step in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tracer1.envs.experts import Expert
from tracer1.envs.miniwob.experts import forms, pages
from tracer1.errors import UsageError

EXPERTS: Final[Mapping[str, Expert]] = {
    "choose-date": forms.choose_date,
    "choose-date-easy": forms.choose_date,
    "choose-date-medium": forms.choose_date,
    "click-button-sequence": forms.click_button_sequence,
    "click-checkboxes": forms.click_checkboxes,
    "click-checkboxes-large": forms.click_checkboxes,
    "click-checkboxes-transfer": forms.click_checkboxes,
    "click-collapsible": forms.click_collapsible,
    "click-collapsible-2": pages.find_in_sections,
    "click-option": forms.click_option,
    "click-scroll-list": forms.click_scroll_list,
    "click-tab-2": pages.find_in_tabs,
    "click-tab-2-hard": pages.find_in_tabs,
    "copy-paste": forms.copy_paste,
    "copy-paste-2": forms.copy_paste_2,
    "email-inbox": pages.email_inbox,
    "email-inbox-forward": pages.email_forward,
    "email-inbox-reply": pages.email_reply,
    "enter-password": forms.enter_password,
    "enter-text": forms.enter_text,
    "enter-text-2": forms.enter_text_2,
    "form-sequence-2": forms.form_sequence_2,
    "guess-number": forms.guess_number,
    "identify-shape": forms.identify_shape,
    "login-user": forms.login_user,
    "login-user-popup": forms.login_user,
    "multi-layouts": forms.multi_layouts,
    "multi-orderings": forms.multi_orderings,
    "navigate-tree": pages.navigate_tree,
    "odd-or-even": forms.odd_or_even,
    "phone-book": pages.phone_book,
    "read-table-2": forms.read_table_2,
    "search-engine": pages.search_engine,
    "use-autocomplete": forms.use_autocomplete,
    "use-spinner": forms.use_spinner,
}
"""The expert of each task."""


def expert_for(task: str) -> Expert:
    """The expert of a task. Raises UsageError when there is none."""
    if task not in EXPERTS:
        raise UsageError(f"no expert for task {task!r}; there is one for: {', '.join(sorted(EXPERTS))}")
    return EXPERTS[task]
