// Comfort only; the form works without it. Shows the amount on the button, and takes one press once.
"use strict";

const form = document.querySelector("form[data-once]");
const yuan = document.getElementById("yuan");
const other = form.querySelector('input[name="amount"][value="other"]');
const some = form.querySelector('input[name="amount"][value="some"]');
const months = form.querySelector("[data-some]");
const part = form.querySelector("[data-other]");
const shown = form.querySelector("[data-amount]");
const button = form.querySelector("button[type=submit]");
const busy = form.querySelector("[data-busy]");

function show() {
  const chosen = form.querySelector('input[name="amount"]:checked');
  // What is wrong with an amount stays in sight, also when none was chosen.
  part.hidden = chosen !== other && !part.querySelector(".wrong");
  if (months) months.hidden = chosen !== some;
  shown.textContent = chosen && chosen.dataset.yuan ? chosen.dataset.yuan : "";
}

function release() {
  delete form.dataset.sent;
  button.removeAttribute("aria-disabled");
  busy.textContent = "";
}

form.addEventListener("change", (event) => {
  show();
  if (event.target === other) yuan.focus();
});

form.addEventListener("submit", (event) => {
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  button.setAttribute("aria-disabled", "true");
  busy.textContent = "正在打开付款页面，请稍等…  Opening the payment page…";
});

// The back button brings the page out of the browser's memory as it was left: let it be used again.
window.addEventListener("pageshow", () => {
  release();
  show();
});
