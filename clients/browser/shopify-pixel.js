/* A custom pixel for Shopify (Settings, Customer events, Add custom pixel): docs/browser.md says what to set there.
   Shopify loads it only with the shopper's permission and runs it in a sandboxed frame, whose origin is "null".
   Of each standard event it sends what the adapter reads, and no name, address, e-mail, phone or page. */
const API = "https://personas.example"; // your simpersona API
const KEY = "sp_..."; // simpersona keys create --store STORE --origin null

const variant = (of) => of && { product: { id: of.product?.id, type: of.product?.type, vendor: of.product?.vendor }, price: of.price };
const cartLine = (of) => of && { merchandise: variant(of.merchandise), quantity: of.quantity, cost: of.cost };
const checkout = ({ checkout: of }) => ({
  checkout: {
    order: { id: of?.order?.id },
    lineItems: of?.lineItems?.map((line) => ({ variant: variant(line.variant), quantity: line.quantity })),
    totalPrice: of?.totalPrice,
  },
});
const READ = {
  page_viewed: () => ({}),
  collection_viewed: (data) => ({ collection: { title: data.collection?.title } }),
  search_submitted: (data) => ({ searchResult: { query: data.searchResult?.query } }),
  product_viewed: (data) => ({ productVariant: variant(data.productVariant) }),
  product_added_to_cart: (data) => ({ cartLine: cartLine(data.cartLine) }),
  product_removed_from_cart: (data) => ({ cartLine: cartLine(data.cartLine) }),
  cart_viewed: (data) => ({ cart: { lines: data.cart?.lines?.map(cartLine), cost: data.cart?.cost } }),
  checkout_started: checkout,
  payment_info_submitted: checkout,
  checkout_completed: checkout,
};
const MOST = 50; // events that wait for the next try

let waiting = [];
const send = (event) => {
  if (navigator.globalPrivacyControl || navigator.doNotTrack === "1") return;
  const batch = [...waiting, event].slice(-MOST); // an event that is sent again keeps its id
  waiting = [];
  fetch(`${API}/v1/events?source=shopify&key=${KEY}`, { method: "POST", body: JSON.stringify(batch), keepalive: true })
    .then((answer) => answer.status === 429 || answer.status >= 500, () => true)
    .then((again) => { if (again) waiting = [...batch, ...waiting].slice(-MOST); });
};
for (const [name, read] of Object.entries(READ)) {
  analytics.subscribe(name, ({ id, timestamp, clientId, data, context }) =>
    send({ id, name, timestamp, clientId, data: read(data || {}), context: { navigator: { userAgent: context?.navigator?.userAgent } } }));
}
