"""MM-Traj as published: a JSON list of chats with tools, some pictures in a zip. All of it is invented."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image

Row: TypeAlias = dict[str, Any]

SYSTEM = "You are an expert assistant who can solve any task using code blobs. You have access to a list of tools."
RETRY = (
    "Now let's retry: take care not to repeat previous errors! If you have retried several times, try another way.\n"
)
CUPS, SHELF = "coco/train2017/000000000001.jpg", "sam/images/sa_2.jpg"
IN_RECORD, IN_TEXT = "data/open_llava_next/", "data/tongagent/"
DEEP = "-" * 1_000_000 + "1"


def code(thought: str, *lines: str, heading: str = "Thought: ", of_code: str = "Code:") -> str:
    return f"{heading}{thought}\n\n{of_code}\n```py\n{chr(10).join(lines)}\n```"


def output(step: int, text: str) -> str:
    return f"[OUTPUT OF STEP {step}] Observation:\n{text}\n"


def error(step: int, text: str) -> str:
    return f"[OUTPUT OF STEP {step}] Error: {text}\n{RETRY}"


NO_CODE = "Error in code parsing: \nThe code blob you used is invalid: the regex pattern was not respected."


def row(
    name: Any, task: str, *turns: str, image: Any = None, answer: Any = "3", swift: bool = True, **more: Any
) -> Row:
    """``turns`` after the task, the assistant's first. ``swift``: with role and content, else from and value."""
    role, content = ("role", "content") if swift else ("from", "value")
    said = [("system", SYSTEM), ("user", task)]
    said += [("user" if i % 2 else "assistant", turn) for i, turn in enumerate(turns)]
    record = {
        "id": name,
        "image": {} if image is None else image,
        "correct": "yes",
        "answer": answer,
        "conversations": [{role: who, content: what} for who, what in said],
        "traj_verification": '```json\n{"thought": "right", "correct": "yes"}\n```',
    }
    return record | more


def rows() -> list[Any]:
    cups = row(
        "aB3_x-9Z",
        f"<image>\nTask: How many cups?\nAttachment: {IN_TEXT}{CUPS}; ",
        code(
            "There are cups. I will use `objectlocation` to find them.",
            f'b = objectlocation(object="cup", image_path="{IN_TEXT}{CUPS}")',
            "print(len(b))",
        ),
        output(0, "3"),
        code("Done.", "final_answer(3)"),
        image=IN_RECORD + CUPS,
    )
    plain = row(
        "plain___",
        "Task: What is green tea good for?\n",
        code("I will search. Then I answer.", 'print(ask_search_agent("green tea"))'),
        output(0, "Search Result:\n### 1. Short\n\nHealth."),
        code("I see.", "ask_search_agent(query='green tea studies')", heading="**Thought:** ", of_code="**Code:**"),
        output(1, "Nothing new."),
        code("Now I have it.", "final_answer('Health.')", heading="### Thought:\n", of_code="### Code:"),
        answer="Health.",
        swift=False,
    )
    pair = row(
        "two_imgs",
        f"<image_00>\n<image_01>\nTask: Compare.\n Attachment: {IN_TEXT}{CUPS}; {IN_TEXT}{SHELF};  ",
        code("I compare the two.", "x = 1", "print(x)"),
        output(0, "1"),
        code("So.", "answer = f'{x} more'", "final_answer(answer)"),
        image={"<image_01>": IN_RECORD + SHELF, "<image_00>": IN_RECORD + CUPS},
        answer="1 more",
    )
    expanded = row(
        "expanded",
        f"Picture 1: <img>{IN_RECORD}{SHELF}</img>\nTask: What is it?\nAttachment: {IN_TEXT}{SHELF}; ",
        code("I look.", f"print(visualizer('What is it?', '{IN_TEXT}{SHELF}'))"),
        output(0, "A shelf."),
        code("I answer.", 'final_answer("A shelf.")'),
        image=IN_RECORD + SHELF,
        answer="A shelf.",
        swift=False,
    )
    sheet = row(
        "sheet/../x",
        "Task: What is the sum in the table?\nAttachment: data/files/table.xlsx; data/files/gone.pdf; ",
        code("I read.", "t = inspect_file_as_text(file_path='data/files/table.xlsx', question='Sum?')", "print(t)"),
        error(0, "Code execution failed due to the following error:\nError code: 429 - rate limit"),
        "It is 7, I believe.",
        error(1, NO_CODE),
        code("I try this.", "final_answer(total)"),
        error(2, "Code execution failed due to the following error:\nname 'total' is not defined"),
        code("I call two.", "a = ask_search_agent('a')", "b = visualizer('b', str(a))", "print(a, b)"),
        output(3, "7"),
        code("I answer.", "final_answer({'sum': [7, 'EUR']})"),
        answer="{'sum': [7, 'EUR']}",
        **{"system-prompt": SYSTEM},
    )
    del sheet["image"]
    unended = row(
        "unended_", "Task: Draw a beach.", code("I draw.", "print(image_generator(prompt='beach'))"), output(0, "b.png")
    )
    odd = row(
        "odd_code",
        "Task: Try.",
        code("", "print('not Python", "for", heading=""),
        output(0, ""),
        code("Ok.", "r = segmentation('a.jpg', [[1, 2, 3, 4]])", "b = 0xFFFFFFFFFFFFFFFFFFFF", "ocr(b)"),
        output(1, "\\d"),
        code("I decide.", "final_answer(image_edit(prompt='x', image_path='a.jpg'))"),
        answer="c.png",
    )
    gone = row(
        "gone_img",
        "<image>\nTask: Who is it?\nAttachment: data/tongagent/wikiart/gone.jpg; ",
        code("I guess.", "final_answer('Nobody')"),
        image="data/open_llava_next/wikiart/gone.jpg",
    )
    outside = row("outside_", "<image>\nTask: Read.", code("No.", "final_answer('x')"), image="../../etc/passwd.jpg")
    bad = row("bad__img", "<image>\nTask: Look.", code("Hm.", "final_answer('?')"), image=f"{IN_RECORD}bad.png")
    wrong = row("wrong___", "Task: Guess.", code("I guess.", "final_answer(1)"), correct="no")
    same_id = row("aB3_x-9Z", "Task: Another task.", code("Easy.", "final_answer(2)"))
    deep = row("deep____", "Task: Deep.", code("Deep.", f"print({DEEP})"))
    nested = row("nested__", "Task: Nested.", code("Deep.", f"ask_search_agent({'[' * 50 + ']' * 50})"))
    surrogate = row("half____", "Task: Half a character \ud83d.", code("Hm.", "final_answer(1)"))
    escaped = row("escaped_", "Task: Half in code.", code("Hm.", r"ask_search_agent('\ud83d')"))
    broken: list[Any] = [
        None,
        [],
        {"id": "only_id_"},
        row(7, "Task: A number as id.", code("", "final_answer(1)")),
        row("  ", "Task: No id.", code("", "final_answer(1)")),
        row("no_task_", "<image>\n", code("", "final_answer(1)")),
        row("image_7_", "Task: Image.", code("", "final_answer(1)"), image=7),
        row("turn____", "Task: Turn.", code("", "final_answer(1)"), conversations=["hello"]),
        row("no_code_", "Task: No code at all.", "I cannot."),
    ]
    good = [cups, plain, pair, expanded, sheet, unended, odd, gone, outside, bad, wrong, same_id]
    return [
        *good,
        deep,
        nested,
        surrogate,
        escaped,
        *broken,
        cups,
        cups,
        row("the_end_", "Task: End.", code("End.", "final_answer('end')")),
    ]


def picture(color: str) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (40, 30), color).save(data, "JPEG")
    return data.getvalue()


def make(raw: Path) -> None:
    """The list, one picture and one table in ``files.zip``, one picture unpacked, one that is damaged."""
    depth = 1_000_000
    items = [*map(json.dumps, rows())]
    data = ", ".join([*items[:-1], "[" * depth + "]" * depth, items[-1]])
    (raw / "agent_tune_dataset_gaia_25k_20241210.json").write_text(f"[{data}]", encoding="utf-8")
    with zipfile.ZipFile(raw / "files.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo(CUPS), picture("red"))
        archive.writestr(zipfile.ZipInfo("files/table.xlsx"), b"a table")
    (raw / IN_RECORD / SHELF).parent.mkdir(parents=True)
    (raw / IN_RECORD / SHELF).write_bytes(picture("blue"))
    (raw / IN_RECORD / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
