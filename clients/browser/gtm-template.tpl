___TERMS_OF_SERVICE___

By creating or modifying this file you agree to Google Tag Manager's Community
Template Gallery Developer Terms of Service available at
https://developers.google.com/tag-manager/gallery-tos (or such other URL as
Google may provide), as modified from time to time.


___INFO___

{
  "type": "TAG",
  "id": "cvt_temp_public_id",
  "version": 1,
  "securityGroups": [],
  "displayName": "simpersona",
  "brand": {"id": "brand_dummy", "displayName": "simpersona"},
  "description": "Sends GA4 e-commerce events of the data layer to a shop's own simpersona, after consent to analytics_storage.",
  "containerContexts": ["WEB"]
}


___TEMPLATE_PARAMETERS___

[
  {
    "type": "TEXT",
    "name": "url",
    "displayName": "Address of the simpersona API",
    "simpleValueType": true,
    "valueHint": "https://personas.example",
    "help": "Allow this address under Permissions, Injects scripts, too.",
    "valueValidators": [{"type": "REGEX", "args": ["^https://[^/?#]+$"]}]
  },
  {
    "type": "TEXT",
    "name": "key",
    "displayName": "Published key",
    "simpleValueType": true,
    "help": "simpersona keys create --store STORE --origin https://your.shop",
    "valueValidators": [{"type": "REGEX", "args": ["^sp_[0-9a-f]{12}_[A-Za-z0-9_-]{43}$"]}]
  },
  {
    "type": "TEXT",
    "name": "buyer",
    "displayName": "The shop's own id of the shopper (optional)",
    "simpleValueType": true
  }
]


___SANDBOXED_JS_FOR_WEB_TEMPLATE___

const addConsentListener = require('addConsentListener');
const callInWindow = require('callInWindow');
const copyFromDataLayer = require('copyFromDataLayer');
const injectScript = require('injectScript');
const isConsentGranted = require('isConsentGranted');

const CONSENT = 'analytics_storage';
const COMMANDS = {
  view_item: 'product', add_to_cart: 'add', remove_from_cart: 'remove', view_cart: 'cart',
  begin_checkout: 'checkout', add_payment_info: 'payment', purchase: 'purchase'
};
const WORDS = {view_item_list: 'list', search: 'search', view_search_results: 'search', sign_up: 'signup', login: 'login'};

const ecommerce = copyFromDataLayer('ecommerce') || {};
const event = copyFromDataLayer('event');
const items = (ecommerce.items || []).map((item) => ({
  product_id: item.item_id,
  category: [item.item_category, item.item_category2, item.item_category3, item.item_category4, item.item_category5]
    .filter((part) => part).join('/'),
  brand: item.item_brand,
  price: item.price,
  quantity: item.quantity
}));
const basket = {items: items, currency: ecommerce.currency, value: ecommerce.value, order: ecommerce.transaction_id};
const first = items[0] || {};
const line = {
  product_id: first.product_id, category: first.category, brand: first.brand, price: first.price,
  quantity: first.quantity, currency: ecommerce.currency, value: ecommerce.value
};
const words = {
  list: ecommerce.item_list_name || first.category,
  search: copyFromDataLayer('search_term')
};

const loaded = () => {
  const options = {url: data.url, key: data.key, consent: 'required'};
  if (data.buyer) options.buyer = data.buyer;
  callInWindow('simpersona', 'start', options);
  if (isConsentGranted(CONSENT)) callInWindow('simpersona', 'consent', true);
  const command = COMMANDS[event];
  if (command) {
    const isLine = command === 'product' || command === 'add' || command === 'remove';
    callInWindow('simpersona', command, isLine ? line : basket);
  } else if (WORDS[event]) {
    callInWindow('simpersona', WORDS[event], words[WORDS[event]]);
  }
  data.gtmOnSuccess();
};

addConsentListener(CONSENT, (type, granted) => callInWindow('simpersona', 'consent', granted));
injectScript(data.url + '/simpersona.js', loaded, data.gtmOnFailure, 'simpersona');


___WEB_PERMISSIONS___

[
  {
    "instance": {
      "key": {"publicId": "inject_script", "versionId": "1"},
      "param": [
        {"key": "urls", "value": {"type": 2, "listItem": [{"type": 1, "string": "https://personas.example/*"}]}}
      ]
    },
    "clientAnnotations": {"isEditedByUser": true},
    "isRequired": true
  },
  {
    "instance": {
      "key": {"publicId": "access_globals", "versionId": "1"},
      "param": [
        {
          "key": "keys",
          "value": {
            "type": 2,
            "listItem": [
              {
                "type": 3,
                "mapKey": [
                  {"type": 1, "string": "key"}, {"type": 1, "string": "read"},
                  {"type": 1, "string": "write"}, {"type": 1, "string": "execute"}
                ],
                "mapValue": [
                  {"type": 1, "string": "simpersona"}, {"type": 8, "boolean": false},
                  {"type": 8, "boolean": false}, {"type": 8, "boolean": true}
                ]
              }
            ]
          }
        }
      ]
    },
    "clientAnnotations": {"isEditedByUser": true},
    "isRequired": true
  },
  {
    "instance": {
      "key": {"publicId": "read_data_layer", "versionId": "1"},
      "param": [
        {"key": "allowedKeys", "value": {"type": 1, "string": "specific"}},
        {
          "key": "keyPatterns",
          "value": {
            "type": 2,
            "listItem": [
              {"type": 1, "string": "event"}, {"type": 1, "string": "ecommerce"},
              {"type": 1, "string": "search_term"}
            ]
          }
        }
      ]
    },
    "clientAnnotations": {"isEditedByUser": true},
    "isRequired": true
  },
  {
    "instance": {
      "key": {"publicId": "access_consent", "versionId": "1"},
      "param": [
        {
          "key": "consentTypes",
          "value": {
            "type": 2,
            "listItem": [
              {
                "type": 3,
                "mapKey": [
                  {"type": 1, "string": "consentType"}, {"type": 1, "string": "read"}, {"type": 1, "string": "write"}
                ],
                "mapValue": [
                  {"type": 1, "string": "analytics_storage"}, {"type": 8, "boolean": true}, {"type": 8, "boolean": false}
                ]
              }
            ]
          }
        }
      ]
    },
    "clientAnnotations": {"isEditedByUser": true},
    "isRequired": true
  }
]


___TESTS___

scenarios: []


___NOTES___

The script comes from the address that you set. See docs/browser.md.
