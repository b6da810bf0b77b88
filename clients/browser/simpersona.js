/* simpersona.js tells a shop's own simpersona what its shoppers do. How to use it: docs/browser.md
   It sets no cookie, stores nothing before simpersona("consent", true), and does nothing where the browser says
   Global Privacy Control or Do Not Track. An event that is sent again keeps its id, so nothing counts twice. */
(() => {
  "use strict";
  if (window.simpersona?.loaded) return;
  const BATCH = 20, MOST = 200, PAUSE = 1000, LONGEST = 60000, CUT = 256; // events, events, ms, ms, characters
  const ID = "simpersona.id", UNSENT = "simpersona.unsent";
  const FIELDS = "product_id category brand price currency quantity value query order".split(" ");
  const tag = document.currentScript;
  const set = { url: tag?.src && new URL(tag.src).origin, ...tag?.dataset };
  let queue = [], flying = []; // not yet sent; sent, and not yet answered
  let agreed = null; // the consent of the shopper; null: not asked yet
  let buyer, place, timer, started, warned, failures = 0;

  const two = (byte) => (byte + 256).toString(16).slice(1);
  const hex = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), two).join("");
  const warn = (what) => warned || console.warn("simpersona:", (warned = what));
  const refuses = () => navigator.globalPrivacyControl || [navigator.doNotTrack, window.doNotTrack].includes("1");
  const silent = () => refuses() || agreed === false;
  const allowed = () => set.key && !silent() && (agreed || set.consent !== "required");

  const read = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
  const write = (name, text) => {
    try { text ? localStorage.setItem(name, text) : localStorage.removeItem(name); } catch {} // blocked, or full
  };
  const keep = () => agreed && write(UNSENT, flying[0] || queue[0] ? JSON.stringify([...flying, ...queue]) : "");
  const who = () => (buyer ||= set.buyer || (!silent() && read(ID)) || hex());

  const add = (type, fields = {}) => {
    if (silent()) return;
    const event = { event_id: hex(), buyer: who(), type, timestamp: Date.now() };
    for (const name of FIELDS) {
      const value = fields[name];
      if (value != null && value !== "") event[name] = typeof value === "string" ? value.slice(0, CUT) : value;
    }
    if (type === "purchase" && event.order) event.event_id = "order-" + event.order; // a reload is no second order
    queue = [...queue, event].slice(-MOST);
    if (failures) return; // a pause is under way
    queue.length >= BATCH ? flush() : later(PAUSE);
  };

  // A cart, a checkout or an order is one event: its total, and the line worth most.
  const basket = (of = {}) => {
    const worth = (line) => line.price * (line.quantity || 1) || 0;
    const lines = [...(of.items || [])].sort((a, b) => worth(b) - worth(a));
    return { ...lines[0], ...(lines[0] && { value: lines.reduce((sum, line) => sum + worth(line), 0) }), ...of };
  };

  const address = () => set.url + "/v1/events?key=" + encodeURIComponent(set.key);
  const later = (ms) => { timer ||= setTimeout(flush, ms); };
  const flush = () => {
    clearTimeout(timer);
    timer = 0;
    if (flying[0] || !queue[0] || !allowed()) return;
    flying = queue.splice(0, BATCH);
    // Text needs no preflight; keepalive lets it end after the page has gone.
    fetch(address(), { method: "POST", body: JSON.stringify(flying), keepalive: true, credentials: "omit" })
      .then(settle, () => settle({ status: 0 }));
  };
  const settle = async (answer) => {
    const again = [0, 408, 429].includes(answer.status) || answer.status >= 500;
    const pause = again ? Math.min(LONGEST, PAUSE * 2 ** failures++) * (1 + Math.random()) : 0;
    const asked = 1000 * answer.headers?.get("Retry-After") || 0;
    if (again && !silent()) queue = [...flying, ...queue].slice(-MOST);
    if (!again) failures = 0;
    flying = [];
    keep();
    if (queue[0]) later(Math.max(pause, asked));
    if (again) return;
    const body = await answer.json().catch(() => ({}));
    const wrong = body.errors?.[0]?.detail || (!answer.ok && body.detail);
    if (wrong) warn(wrong);
  };
  const leave = () => {
    while (queue[0] && !failures && allowed()) {
      if (!navigator.sendBeacon?.(address(), JSON.stringify(queue.slice(0, BATCH)))) { flush(); break; }
      queue.splice(0, BATCH);
    }
    keep();
  };
  const now = () => { failures = 0; flush(); };

  const page = () => {
    place = here();
    add("page_view");
  };
  const here = () => location.pathname + location.search + (/^#[/!]/.test(location.hash) ? location.hash : "");
  const moved = () => here() === place || page();
  const follow = () => {
    for (const name of ["pushState", "replaceState"]) {
      const real = history[name];
      history[name] = function () {
        const done = real.apply(this, arguments);
        moved();
        return done;
      };
    }
    addEventListener("popstate", moved);
    addEventListener("pageshow", (event) => event.persisted && page());
    page();
  };
  const start = (more) => {
    Object.assign(set, more);
    if (started || !set.key || !set.url) return;
    started = true;
    if (refuses()) return forget();
    if (read(ID)) { // it is there because the shopper agreed, on an earlier page
      agreed ??= true;
      try { queue = [...JSON.parse(read(UNSENT) || "[]"), ...queue].slice(-MOST); } catch {}
    }
    addEventListener("online", now);
    addEventListener("pagehide", leave);
    document.addEventListener("visibilitychange", () => (document.hidden ? leave() : now()));
    if (set.pages !== "off") {
      document.prerendering ? document.addEventListener("prerenderingchange", follow, { once: true }) : follow();
    }
    later(PAUSE);
  };
  const forget = () => {
    queue = [];
    write(ID);
    write(UNSENT);
  };
  const consent = (yes) => {
    agreed = !!yes;
    if (silent()) return forget();
    write(ID, set.buyer ? "" : who());
    now();
  };
  const persona = (token, tell) => silent() ? tell(null) :
    fetch(set.url + "/v1/persona", { headers: { Authorization: "Bearer " + token }, credentials: "omit" })
      .then((answer) => (answer.ok ? answer.json() : null)).catch(() => null).then(tell);

  const commands = {
    start, consent, persona, page, flush, id: who,
    buyer: (id) => { set.buyer = buyer = String(id); },
    list: (category) => add("list_view", { category }),
    search: (query) => add("search", { query }),
    product: (item) => add("product_view", item),
    add: (item) => add("add_to_cart", item),
    remove: (item) => add("remove_from_cart", item),
    cart: (of) => add("view_cart", basket(of)),
    checkout: (of) => add("begin_checkout", basket(of)),
    payment: (of) => add("add_payment_info", basket(of)),
    purchase: (of) => add("purchase", basket(of)),
    signup: () => add("sign_up"),
    login: () => add("login"),
  };
  const run = (name, ...rest) => {
    try { return commands[name](...rest); } catch (error) { warn(name + ": " + error); } // the shop's page goes on
  };
  const waiting = window.simpersona?.q || [];
  window.simpersona = run;
  run.loaded = true;
  start();
  for (const call of waiting) run(...call);
})();
