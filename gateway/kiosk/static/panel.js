// Looks again by itself until there are pictures enough. Without it the button does the same.
"use strict";

const look = document.getElementById("look");
if (look && Number(look.dataset.got) < Number(look.dataset.wanted)) {
  setTimeout(() => look.requestSubmit(), 2000);
}
