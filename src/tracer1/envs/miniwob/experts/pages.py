"""Scripted experts for tasks of several screens: mail, search, trees, tabs."""

from __future__ import annotations

from tracer1.envs.experts import Moves, Screen


def email_reply(screen: Screen) -> Moves:
    sender, text = screen.match(r'email by (.+) and reply to them with the text "(.+)"')
    yield from _open_email(screen, sender, "Reply")
    yield screen.click("reply form, empty", "text area")
    yield screen.type("reply form, area active", text)
    yield screen.click("reply form, filled", "icon", "send")


def email_forward(screen: Screen) -> Moves:
    sender, receiver = screen.match(r"email by (.+) and forward that email to (.+)\.$")
    yield from _open_email(screen, sender, "Forward")
    yield screen.click("forward form, empty", "field", "to")
    yield screen.type("forward form, to active", receiver)
    yield screen.click("forward form, filled", "icon", "send")


def _scroll_to_email(screen: Screen, sender: str) -> Moves:
    for _ in range(12):
        if screen.has("email", sender):
            break
        yield screen.scroll("inbox, sender not in view", "down")


def _open_email(screen: Screen, sender: str, button: str) -> Moves:
    yield from _scroll_to_email(screen, sender)
    yield screen.click("inbox", "email", sender)
    for _ in range(4):
        if screen.has("button", button):
            break
        yield screen.scroll("open email, top", "down")
    yield screen.click("open email", "button", button)


def search_engine(screen: Screen) -> Moves:
    (text,) = screen.quoted()[:1]
    position = int(screen.match(r"click the (\d+)\w\w search result")[0])
    page, nth = (position - 1) // 3 + 1, (position - 1) % 3 + 1
    yield screen.click("search page, empty", "field")
    yield screen.type("search page, field active", text)
    yield screen.click("search page, filled", "button", "Search")
    if page > 1:
        yield screen.click("search results, page 1", "link", str(page))
    result = screen.all("result")[nth - 1]
    yield screen.click_on(f"search results, page {page}", result)


def navigate_tree(screen: Screen) -> Moves:
    (name,) = screen.quoted()
    tried: set[str] = set()
    while not (screen.has("file", name) or screen.has("folder", name)):
        folder = next(e for e in screen.all("folder") if e.name not in tried)
        tried.add(folder.name)
        yield screen.click_on("file tree, not in view", folder)
    role = "file" if screen.has("file", name) else "folder"
    yield screen.click("file tree, in view", role, name)


def email_inbox(screen: Screen) -> Moves:
    if "reply to them" in screen.goal:
        yield from email_reply(screen)
    elif "forward that email" in screen.goal:
        yield from email_forward(screen)
    else:
        sender, icon = screen.match(r"email by (.+) and click the (\w+) icon")
        yield from _scroll_to_email(screen, sender)
        (row,) = (e.box for e in screen.all("email", sender)[:1])
        target = next(e for e in screen.all("icon", icon) if row[1] <= (e.box[1] + e.box[3]) / 2 <= row[3])
        yield screen.click_on("inbox", target)


def phone_book(screen: Screen) -> Moves:
    name, what = screen.match(r"Find (.+) in the contact book and click on their (\w+)")
    while name not in screen.texts():
        yield screen.click("contact, another name", "link", ">")
    yield screen.click("contact, right name", "link", what.capitalize())


def find_in_tabs(screen: Screen) -> Moves:
    """Open the tabs in order until the link is there."""
    (name,) = screen.quoted()
    names = [tab.name for tab in screen.all("tab")]
    for tab in names[1:]:
        if screen.has("link", name):
            break
        yield screen.click("tabs, link not there", "tab", tab)
    yield screen.click("tabs, link there", "link", name)


def find_in_sections(screen: Screen) -> Moves:
    """Open the sections in order until the link is there."""
    (name,) = screen.quoted()
    state = "all closed"
    for section in [e.name for e in screen.all("section")]:
        yield screen.click(f"sections, {state}", "section", section)
        if screen.has("link", name):
            break
        state = "link not there"
    yield screen.click("sections, link there", "link", name)
