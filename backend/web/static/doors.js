// Asks every two seconds what changed at the doors, and replaces only the doors that did.
"use strict";

const live = document.getElementById("live");
const words = live.querySelector("[data-live-words]");
const summary = document.getElementById("summary");
const latest = document.getElementById("latest");
const EVERY_MS = 2000;
const LOST_AFTER_MS = 6500; // three rounds without an answer
const GIVE_UP_MS = 5000; // on one request
let answeredAt = Date.now();
let timer = 0;

function say(state, zh, en) {
  if (live.dataset.link === state && state !== "up") return;
  live.dataset.link = state;
  const english = document.createElement("span");
  english.className = "en";
  english.lang = "en";
  english.textContent = en;
  words.replaceChildren(`${zh} `, english);
  if (state === "lost") latest.textContent = zh; // spoken by a screen reader
}

function replaceDoor(door) {
  const place = document.querySelector(`[data-door="${CSS.escape(door.device_id)}"]`);
  if (!place) {
    window.location.reload(); // a door was registered since this page was opened
    return;
  }
  if (place.dataset.digest === door.digest) return;
  // The guard's keyboard focus stays on the passage it was on.
  const key = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  place.innerHTML = door.html; // our own server's escaped template
  place.dataset.digest = door.digest;
  if (key) place.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

async function ask() {
  try {
    const answer = await fetch(live.dataset.ask, {
      headers: { Accept: "application/json" },
      cache: "no-store",
      signal: AbortSignal.timeout(GIVE_UP_MS),
    });
    if (answer.status === 401 || answer.status === 403) {
      window.location.reload(); // logged out: the page itself says what to do
      return;
    }
    if (!answer.ok) throw new Error(String(answer.status));
    const news = await answer.json();
    news.doors.forEach(replaceDoor);
    if (summary.dataset.said !== news.summary) {
      summary.innerHTML = news.summary;
      summary.dataset.said = news.summary;
    }
    if (latest.textContent !== news.latest) latest.textContent = news.latest;
    answeredAt = Date.now();
    say("up", `更新于 ${news.clock}`, "updated");
  } catch {
    if (Date.now() - answeredAt > LOST_AFTER_MS) {
      say("lost", "连接断了，下面不是最新的；正在重试", "link lost, not up to date; trying again");
    }
  }
  timer = document.hidden ? 0 : setTimeout(ask, EVERY_MS);
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  timer = 0;
  if (document.hidden) say("paused", "已暂停", "paused");
  else ask();
});

timer = setTimeout(ask, EVERY_MS);
