"""Our own rules of accessibility, asked of a page in a browser: each answer is a list of what breaks one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from playwright.sync_api import Page

# WCAG 2.2: contrast of text 4.5 to 1, 3 to 1 where it is large (1.4.3); backgrounds are those under the text.
_CONTRAST: Final = """() => {
  const parse = (css) => {
    const n = css.match(/[\\d.]+/g).map(Number);
    return {rgb: n.slice(0, 3), a: n[3] ?? 1};
  };
  const over = (top, under) => top.rgb.map((c, i) => c * top.a + under[i] * (1 - top.a));
  const linear = (c) => c / 255 <= .04045 ? c / 255 / 12.92 : ((c / 255 + .055) / 1.055) ** 2.4;
  const light = (rgb) => rgb.map(linear).reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const ground = (node) => {
    const stack = [];
    for (let at = node; at; at = at.parentElement) stack.push(parse(getComputedStyle(at).backgroundColor));
    return stack.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const weak = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), node = walker.currentNode.parentElement;
    const silent = ["SCRIPT", "STYLE", "NOSCRIPT"].includes(node.tagName);
    if (!text || silent || !node.checkVisibility()) continue;
    const style = getComputedStyle(node), under = ground(node), ink = over(parse(style.color), under);
    const [dark, bright] = [light(ink), light(under)].sort((a, b) => a - b);
    const ratio = (bright + .05) / (dark + .05), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    seen += 1;
    if (ratio < (large ? 3 : 4.5)) weak.push(`${ratio.toFixed(2)}: ${text.slice(0, 40)}`);
  }
  return {seen, weak};
}"""

_RULES: Final = """() => {
  const visible = [...document.querySelectorAll("*")].filter((node) => node.checkVisibility());
  const all = (selector) => visible.filter((node) => node.matches(selector));
  const broken = [], check = (ok, what) => { if (!ok) broken.push(what); };
  const named = (node, attribute) => (node.getAttribute(attribute) ?? "").split(" ").filter(Boolean);
  const text = (id) => document.getElementById(id)?.textContent ?? "";
  const name = (node) => (node.getAttribute("aria-label")
    || named(node, "aria-labelledby").map(text).join(" ")
    || [...(node.labels ?? [])].map((label) => label.textContent).join(" ") || node.textContent).trim();

  check(document.documentElement.lang === "en", "the language is not said");
  check(document.title.trim(), "there is no title");
  check(all("main").length === 1, `${all("main").length} main landmarks`);
  check(all("h1").length === 1, `${all("h1").length} first headings`);
  let level = 1;
  for (const node of all("h1, h2, h3, h4")) {
    const next = Number(node.tagName[1]);
    check(next <= level + 1, `heading "${node.textContent}" skips a level`);
    level = next;
  }
  for (const node of all("button, input, select, summary, a[href]")) {
    check(name(node), `a ${node.tagName} has no name`);
  }
  for (const node of all("section")) check(named(node, "aria-labelledby").length, "a section has no name");
  for (const node of all("table")) {
    check(node.caption?.textContent.trim(), "a table has no caption");
    for (const cell of node.querySelectorAll("th")) check(cell.scope, `"${cell.textContent}" has no scope`);
  }
  for (const node of all("svg")) {
    const silent = node.getAttribute("aria-hidden") === "true";
    check(silent || (node.getAttribute("role") === "img" && name(node)), `picture ${node.id} says nothing`);
  }
  for (const attribute of ["aria-labelledby", "aria-describedby"]) {
    for (const node of document.querySelectorAll(`[${attribute}]`)) {
      for (const id of named(node, attribute)) check(document.getElementById(id), `there is no ${id}`);
    }
  }
  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  check(new Set(ids).size === ids.length, "an id is there twice");
  for (const node of all("button, input, select")) {  // 2.5.8: 24 by 24 CSS pixels
    const box = node.getBoundingClientRect();
    check(box.width >= 24 && box.height >= 24, `"${name(node)}" is ${box.width} by ${box.height}`);
  }
  check(document.querySelector("[aria-live=polite]"), "nothing is announced");
  check(!document.querySelector("[tabindex]:not([tabindex='0'], [tabindex='-1'])"), "focus order is forced");
  return broken;
}"""


def broken_rules(page: Page) -> list[str]:
    """Names, landmarks, headings, tables, pictures, targets."""
    found: list[str] = page.evaluate(_RULES)
    return found


def weak_text(page: Page) -> list[str]:
    """Visible text whose contrast is too low, with the ratio."""
    found: dict[str, Any] = page.evaluate(_CONTRAST)
    assert found["seen"] > 5
    weak: list[str] = found["weak"]
    return weak
