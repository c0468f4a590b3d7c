// Finding by name: what a person types, against what things are called.

const keys = new WeakMap();

// What a thing is sorted and found by: made once a thing.
function key(item) {
  let known = keys.get(item);
  if (known === undefined) {
    known = item.name.toLowerCase();
    keys.set(item, known);
  }
  return known;
}

/** Those with every word of `query` in their name, or a hash that begins with it; by name. */
export function matches(items, query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (item) => {
    const name = key(item);
    return words.every((word) => name.includes(word) || item.hash?.startsWith(word));
  };
  const found = words.length ? items.filter(fits) : items;
  return found.sort((one, other) => (key(one) < key(other) ? -1 : key(one) > key(other) ? 1 : 0));
}
