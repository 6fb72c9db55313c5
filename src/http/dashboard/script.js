// Comforts. Every page works without them.
"use strict";

// A secret is copied by a button.
for (const button of document.querySelectorAll("button[data-copy]")) {
  const field = document.getElementById(button.dataset.copy);
  button.hidden = false;
  button.addEventListener("click", async () => {
    let copied = false;
    try {
      await navigator.clipboard.writeText(field.value);
      copied = true;
    } catch {
      field.select();
      copied = document.execCommand("copy");
    }
    button.textContent = copied ? "Copied" : "Press Ctrl+C";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}

// What a new key would be is shown while its form is filled in.
for (const form of document.querySelectorAll("form[data-preview]")) {
  const place = document.getElementById("preview");
  let timer = 0;
  let asked = 0;
  const ask = async () => {
    const number = ++asked;
    const response = await fetch(form.dataset.preview, {
      method: "POST",
      body: new URLSearchParams(new FormData(form)),
      headers: { "X-Preview": "1" },
      redirect: "error",
    }).catch(() => null);
    // Only the newest answer counts, and only one that is a part of a page.
    if (number !== asked || !response || !response.ok) return;
    const text = await response.text();
    if (!text.startsWith("<!DOCTYPE")) place.innerHTML = text;
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, 250);
  });
  for (const button of form.querySelectorAll("button[formaction]")) {
    button.addEventListener("click", (event) => {
      event.preventDefault();
      ask();
    });
  }
}

// What was typed before signing in again is sent on.
for (const form of document.querySelectorAll("form[data-send]")) form.requestSubmit();
