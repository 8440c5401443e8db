"""Scripted experts for forms: fields, boxes, lists, dates."""

from __future__ import annotations

import re
from calendar import month_name
from collections.abc import Sequence

from tracer1.envs.experts import Moves, Screen

ORDINALS = {"1st": 1, "2nd": 2, "3rd": 3}


def enter_text(screen: Screen) -> Moves:
    yield from _one_field(screen, screen.quoted()[0])


def enter_text_2(screen: Screen) -> Moves:
    (case,) = screen.match(r"in all (upper|lower) case")
    text = screen.quoted()[0]
    yield from _one_field(screen, text.upper() if case == "upper" else text.lower())


def _one_field(screen: Screen, text: str) -> Moves:
    yield screen.click("text form, empty", "field")
    yield screen.type("text form, field active", text)
    yield screen.click("text form, filled", "button", "Submit")


def enter_password(screen: Screen) -> Moves:
    (password,) = screen.quoted()
    yield from _fill(screen, "password form", [("Password", password), ("Verify password", password)])
    yield screen.click("password form, filled", "button", "Submit")


def login_user(screen: Screen) -> Moves:
    user, password = screen.quoted()
    yield from _fill(screen, "login form", [("Username", user), ("Password", password)])
    yield screen.click_on("login form, filled", screen.all("button")[0])


def _fill(screen: Screen, noun: str, fields: Sequence[tuple[str, str]]) -> Moves:
    """Click and fill named fields in order. A popup on the way is cancelled and the field clicked again."""
    state = "empty"
    for name, text in fields:
        yield screen.click(f"{noun}, {state}", "field", name)
        if screen.has("button", "Cancel"):
            yield screen.click(f"{noun}, popup", "button", "Cancel")
            yield screen.click(f"{noun}, {state}", "field", name)
        word = name.lower()
        yield screen.type(f"{noun}, {word} active", text)
        state = f"{word} filled"


def multi_orderings(screen: Screen) -> Moves:
    genre, director, year = screen.match(r"Search for (.+) movies directed by (.+) from year (\d+)\.")
    yield from _fill(screen, "movie form", [("Genre", genre), ("Director", director), ("Year", year)])
    yield screen.click("movie form, filled", "button", "Submit")


def form_sequence_2(screen: Screen) -> Moves:
    radio, number, field = screen.match(r"Check the (\w+) radio button .*number \"(-?\d+)\" into the (\w+) textbox")
    yield screen.click("number form, empty", "radio button", nth=ORDINALS[radio])
    yield screen.click("number form, radio chosen", "field", nth=ORDINALS[field])
    yield screen.type("number form, field active", number)
    yield screen.click("number form, filled", "button", "Submit")


def click_checkboxes(screen: Screen) -> Moves:
    (wanted,) = screen.match(r"Select (.+) and click Submit")
    state = "none checked"
    for name in [] if wanted == "nothing" else wanted.split(", "):
        yield screen.click(f"checkbox list, {state}", "checkbox", name)
        state = "some checked"
    yield screen.click("checkbox list, ready", "button", "Submit")


def click_option(screen: Screen) -> Moves:
    (wanted,) = screen.match(r"Select (.+) and click Submit")
    yield screen.click("radio list, none chosen", "radio button", wanted)
    yield screen.click("radio list, chosen", "button", "Submit")


def multi_layouts(screen: Screen) -> Moves:
    genre, director, year = screen.match(r"Search for (.+) movies directed by (.+) from year (\d+)\.")
    wanted = {"Genre": genre, "Movie Genre": genre, "Director": director, "Director Name": director}
    fields = [(e.name, wanted.get(e.name, year)) for e in screen.all("field")]
    state = "empty"
    for number, (name, text) in enumerate(fields, 1):
        yield screen.click(f"movie form, {state}", "field", name)
        yield screen.type(f"movie form, field {number} active", text)
        state = f"field {number} filled"
    yield screen.click_on("movie form, filled", screen.all("button")[0])


def read_table_2(screen: Screen) -> Moves:
    cells = screen.texts()
    table = dict(zip(cells[::2], cells[1::2], strict=False))
    names = [e.name for e in screen.all("field")]
    state = "empty"
    for number, name in enumerate(names, 1):
        yield screen.click(f"table form, {state}", "field", name)
        yield screen.type(f"table form, field {number} active", table[name])
        state = f"field {number} filled"
    yield screen.click("table form, filled", "button", "Submit")


def odd_or_even(screen: Screen) -> Moves:
    state = "none marked"
    for row, number in enumerate([int(text) for text in screen.texts() if text.lstrip("-").isdigit()], 1):
        parity = "Odd" if number % 2 else "Even"
        yield screen.click(f"number rows, {state}", "button", parity, nth=row)
        state = "some marked"
    yield screen.click("number rows, ready", "button", "Submit")


def guess_number(screen: Screen) -> Moves:
    low, high = 0, 9
    state = "waiting"
    while low <= high:
        guess = (low + high) // 2
        yield screen.click(f"guess form, {state}", "field")
        if state != "waiting":
            yield screen.press(f"guess form, {state}, active", "ctrl+a")
        yield screen.type("guess form, field active", str(guess))
        yield screen.click("guess form, filled", "button", "Submit")
        if any("higher" in text for text in screen.texts()):
            low, state = guess + 1, "go higher"
        else:
            high, state = guess - 1, "go lower"


def use_autocomplete(screen: Screen) -> Moves:
    start, end = (*screen.quoted(), "")[:2]
    yield screen.click("tag form, empty", "field")
    yield screen.type("tag form, field active", start)
    for _ in range(6):
        fitting = [e for e in screen.all("menu item") if e.name.startswith(start) and e.name.endswith(end)]
        if fitting:
            break
        yield screen.scroll("tag form, suggestions, none fits", "down")
    yield screen.click_on("tag form, suggestions", fitting[0])
    yield screen.click("tag form, filled", "button", "Submit")


def copy_paste(screen: Screen) -> Moves:
    yield from _copy(screen, 1)


def copy_paste_2(screen: Screen) -> Moves:
    yield from _copy(screen, ORDINALS[screen.match(r"from the (\w+) text area")[0]])


def _copy(screen: Screen, area: int) -> Moves:
    yield screen.click("copy form, start", "text area", nth=area)
    yield screen.press("copy form, area active", "ctrl+a")
    yield screen.press("copy form, selected", "ctrl+c")
    yield screen.click("copy form, copied", "field")
    yield screen.press("copy form, field active", "ctrl+v")
    yield screen.click("copy form, pasted", "button", "Submit")


def click_scroll_list(screen: Screen) -> Moves:
    (wanted,) = screen.match(r"Select (.+) from the scroll list")
    missing = wanted.split(", ")
    order: list[str] = []  # the options from the first one on, as far as they were in view
    while not (there := [name for name in missing if screen.has("option", name)]):
        _extend(order, screen)
        yield screen.scroll("scroll list, not in view", "down", "list")
    yield screen.click("scroll list, none chosen", "option", there[0])
    missing.remove(there[0])
    for other in missing:  # in a list, ctrl with an arrow moves the mark and ctrl with space selects
        _extend(order, screen)
        at = order.index(there[0])
        while other not in order or at != order.index(other):
            down = other not in order or order.index(other) > at
            yield screen.press("scroll list, one chosen", "ctrl+down" if down else "ctrl+up")
            at += 1 if down else -1
            _extend(order, screen)
        yield screen.press("scroll list, second marked", "ctrl+space")
    yield screen.click("scroll list, ready", "button", "Submit")


def _extend(order: list[str], screen: Screen) -> None:
    """Add the options that came into view. Views overlap, and the first one starts at the top."""
    order.extend(name for e in screen.all("option") if (name := e.name) not in order)


def use_spinner(screen: Screen) -> Moves:
    wanted = int(screen.match(r"Select (-?\d+) with")[0])
    arrow, state = ("up", "too low") if wanted > 0 else ("down", "too high")
    for _ in range(abs(wanted)):
        yield screen.click(f"spinner, {state}", "arrow", arrow)
    yield screen.click("spinner, ready", "button", "Submit")


def choose_date(screen: Screen) -> Moves:
    month, day, _ = (int(part) for part in screen.match(r"(\d\d)/(\d\d)/(\d{4})"))
    yield screen.click("date form, empty", "field", "Date")
    while (shown := _month(screen)) != month:
        arrow = "previous" if shown > month else "next"
        yield screen.click(f"calendar, month too {'late' if shown > month else 'early'}", "arrow", arrow)
    yield screen.click("calendar, right month", "day", str(day))
    yield screen.click("date form, filled", "button", "Submit")


def _month(screen: Screen) -> int:
    title = " ".join(screen.texts())
    return next(i for i, name in enumerate(month_name) if name and re.search(rf"\b{name}\b", title))


def identify_shape(screen: Screen) -> Moves:
    (shape,) = (e.name for e in screen.all("shape"))
    yield screen.click(f"one {shape}, five buttons", "button", shape.capitalize())


def click_button_sequence(screen: Screen) -> Moves:
    yield screen.click("two buttons, none clicked", "button", "ONE")
    yield screen.click("two buttons, one clicked", "button", "TWO")


def click_collapsible(screen: Screen) -> Moves:
    yield screen.click_on("section, closed", screen.all("section")[0])
    yield screen.click("section, open", "button", "Submit")
