// Finding items by name.

const keys = new WeakMap();

// The lowercase name by which an item is sorted and found, computed once per item.
function key(item) {
  let known = keys.get(item);
  if (known === undefined) {
    known = item.name.toLowerCase();
    keys.set(item, known);
  }
  return known;
}

/**
 * The items whose name contains every word of `query`, or whose hash begins with it, sorted by
 * name.
 */
export function matches(items, query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (item) => {
    const name = key(item);
    return words.every((word) => name.includes(word) || item.hash?.startsWith(word));
  };
  const found = words.length ? items.filter(fits) : items;
  return found.sort((one, other) => (key(one) < key(other) ? -1 : key(one) > key(other) ? 1 : 0));
}
