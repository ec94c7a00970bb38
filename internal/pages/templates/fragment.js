// A fragment never reaches a server by itself. One that no server would take is left behind.
const a = document.getElementById("start"), f = encodeURIComponent(location.hash);
if (f.length < 8000) a.href += f;
location.replace(a.href);
