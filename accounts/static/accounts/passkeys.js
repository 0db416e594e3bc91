// A passkey that was not used (called off, none there, no HTTPS) is said beside its button, not in the console.
document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  for (const line of document.querySelectorAll("[data-passkey-failed]")) line.hidden = false;
});
// Where the browser knows no passkeys, none is offered.
for (const part of document.querySelectorAll("[data-passkeys]")) part.hidden = !window.PublicKeyCredential;
