// What makes the page live. Without it everything is there to read and to do; nothing here writes text as HTML.
"use strict";

const SOON = 400; // ms from something that happened to the look at it
const SPARSE = 3000; // ms between two looks
const SILENCE = 40000; // ms without a beat after which a stream counts as dead
const FALLBACK = 30000; // ms between looks while there is no stream
const LONGEST_WAIT = 60000;

const page = { stream: null, beat: 0, wait: 1000, timer: 0, looked: 0, looking: false, again: false };

// --- live regions: the same page is asked for again, and what differs is put in place ---

function look(delay = SOON) {
  if (page.timer) return;
  const due = Math.max(delay, page.looked + SPARSE - Date.now());
  page.timer = setTimeout(() => { page.timer = 0; refresh(); }, due);
}

async function refresh() {
  if (document.hidden) { page.again = true; return; }
  if (page.looking || !document.querySelector("[data-live]")) return;
  page.looking = true;
  page.looked = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" });
    if (answer.redirected || !answer.ok) { tell("Not live: reload the page", "bad"); return; }
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.querySelectorAll("[data-live]").forEach((old) => swap(old, fresh));
  } catch {
    // The stream says whether the gateway is there.
  } finally {
    page.looking = false;
  }
}

function swap(old, fresh) {
  const name = old.dataset.live;
  const now = fresh.querySelector(`[data-live="${CSS.escape(name)}"]`);
  if (!now || old.contains(document.activeElement) || isSelected(old)) return;
  prepare(now);
  if (plain(old) === plain(now)) return;
  const open = new Set([...old.querySelectorAll("details")].map((each, place) => (each.open ? place : -1)));
  const known = new Set([...old.querySelectorAll("[data-row]")].map((row) => row.dataset.row));
  now.querySelectorAll("details").forEach((each, place) => { each.open = open.has(place); });
  if (known.size) {
    now.querySelectorAll("[data-row]").forEach((row) => { if (!known.has(row.dataset.row)) row.classList.add("fresh"); });
  }
  old.replaceWith(now);
}

function plain(part) {
  const copy = part.cloneNode(true);
  copy.querySelectorAll(".ago").forEach((each) => { each.textContent = ""; });
  copy.querySelectorAll(".fresh").forEach((each) => { each.classList.remove("fresh"); });
  copy.querySelectorAll("details").forEach((each) => { each.open = false; });
  copy.querySelectorAll('[class=""]').forEach((each) => { each.removeAttribute("class"); });
  return copy.innerHTML;
}

function isSelected(part) {
  const chosen = getSelection();
  return chosen && !chosen.isCollapsed && part.contains(chosen.anchorNode);
}

// --- the stream ---

function connect() {
  const url = document.body.dataset.stream;
  if (!url || !document.querySelector("[data-live]")) return;
  const stream = new EventSource(url);
  page.stream = stream;
  page.beat = Date.now();
  stream.onopen = () => { page.wait = 1000; page.beat = Date.now(); tell("Live", "good"); look(0); };
  stream.addEventListener("beat", () => { page.beat = Date.now(); });
  stream.addEventListener("happened", () => { page.beat = Date.now(); look(); });
  stream.onerror = lost;
}

function lost() {
  if (!page.stream) return;
  page.stream.close();
  page.stream = null;
  const wait = page.wait * (0.75 + Math.random() / 2);
  page.wait = Math.min(page.wait * 2, LONGEST_WAIT);
  tell("Not live, trying again", "wait");
  setTimeout(connect, wait);
}

function watch() {
  if (page.stream && Date.now() - page.beat > SILENCE) lost();
  if (!page.stream && Date.now() - page.looked > FALLBACK) look();
}

function tell(text, tone) {
  const place = document.getElementById("live");
  if (!place || (place.textContent === text && !place.hidden)) return;
  place.hidden = false;
  place.className = `pill ${tone}`;
  place.textContent = text;
}

// --- small things ---

function prepare(part) {
  part.querySelectorAll(".copyable").forEach((each) => {
    if (each.querySelector("button")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    each.append(button);
  });
}

async function copy(button) {
  const code = button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(code);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

function age() {
  document.querySelectorAll("time[datetime]").forEach((each) => {
    const place = each.querySelector(".ago");
    const text = distance((Date.now() - Date.parse(each.dateTime)) / 1000);
    if (place && place.textContent !== text) place.textContent = text;
  });
}

function distance(seconds) {
  const away = Math.abs(seconds);
  const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"]].find(([size]) => away >= size) ?? [0, ""];
  if (!size) return "now";
  const text = `${Math.floor(away / size)}\u00a0${unit}`;
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}

async function load(part) {
  try {
    const answer = await fetch(part.dataset.load, { credentials: "same-origin" });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = fresh.querySelector("[data-part]");
    if (answer.ok && found) { prepare(found); part.replaceChildren(...found.childNodes); }
  } catch {
    // The link that stands there leads to the same.
  } finally {
    part.removeAttribute("aria-busy");
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button.copy");
  if (button) copy(button);
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && page.again) { page.again = false; look(0); }
});
addEventListener("pagehide", () => { if (page.stream) { page.stream.close(); page.stream = null; } });
addEventListener("pageshow", (event) => { if (event.persisted) connect(); });

prepare(document);
document.querySelectorAll("[data-load]").forEach(load);
age();
connect();
setInterval(age, 30000);
setInterval(watch, 5000);
