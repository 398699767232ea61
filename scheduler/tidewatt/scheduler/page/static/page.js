"use strict";
// Times in the browser's own zone, the zone for forms, and a one-time code from the address.
(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "";
  const forms = {
    day: {weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hour12: false, timeZoneName: "short"},
    clock: {hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false, timeZoneName: "short"},
  };
  const written = Object.fromEntries(Object.entries(forms).map(([name, form]) => [name, new Intl.DateTimeFormat("en-GB", form)]));
  const localise = root => {
    for (const each of root.querySelectorAll("time[datetime]")) {
      const at = new Date(each.getAttribute("datetime"));
      if (!isNaN(at)) each.textContent = (written[each.dataset.form] || written.day).format(at).replace(",", "");
    }
    for (const each of root.querySelectorAll("input[data-zone]")) each.value = zone;
  };
  const follow = root => {  // a log is read at its end
    for (const each of root.querySelectorAll("pre.log")) if (each.closest("#log")) each.scrollTop = each.scrollHeight;
  };
  const begin = () => {
    const named = document.getElementById("zone-name");
    if (named && zone) named.textContent = `your time zone (${zone})`;
    localise(document);
    follow(document);
    const login = document.getElementById("login");
    const code = new URLSearchParams(location.hash.slice(1)).get("code");
    if (login && code) {
      history.replaceState(null, "", location.pathname + location.search);
      login.token.disabled = true;
      login.code.disabled = false;
      login.code.value = code;
      login.submit();
    }
  };
  document.addEventListener("htmx:afterSettle", event => {
    localise(event.target);
    follow(event.target.id === "log" ? event.target.parentNode : event.target);
    document.dispatchEvent(new Event("page:changed"));
  });
  document.addEventListener("htmx:oobAfterSwap", event => localise(event.target));
  document.addEventListener("htmx:beforeSwap", event => {
    if (event.detail.xhr.status === 401) location.reload();  // the session is over
  });
  document.readyState === "loading" ? document.addEventListener("DOMContentLoaded", begin) : begin();
})();
