// On to the provider at once, in this page's place: going back from there leads to the page before it.
window.location.replace(document.getElementById("to-provider").href);
