"""Oracles for things that unfold over several screens: mail, search, trees."""

from __future__ import annotations

from tracer1.envs.oracles.base import Moves, Screen


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


def _open_email(screen: Screen, sender: str, button: str) -> Moves:
    for _ in range(4):
        if screen.has("email", sender):
            break
        yield screen.scroll("inbox, sender not in view", "down")
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
