// A list of time zones begins with the one of this browser, unless the page says another.
for (const list of document.querySelectorAll("select[data-own-zone]")) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const known = [...list.options].some((option) => option.value === zone);
  if (list.value === "UTC" && known) list.value = zone;
}
