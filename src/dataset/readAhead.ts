// Work on many items, several under way at once, results in order.

/**
 * What `make` gives for each item, in the items' order, with at most `ahead` under way. Items are drawn as they are needed, so there may be
 * any number of them. Whoever breaks off leaves nothing running behind.
 * @param make must not reject: one item's failure is a result like any other
 */
export async function* readAhead<Item, Result>(
  items: Iterable<Item> | AsyncIterable<Item>,
  ahead: number,
  make: (item: Item) => Promise<Result>,
  signal?: AbortSignal,
): AsyncGenerator<Result, void, undefined> {
  const source = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  const underWay: Promise<Result>[] = [];
  let ended = false;
  try {
    for (;;) {
      while (!ended && underWay.length < ahead) {
        const next = await source.next();
        if (next.done === true) ended = true;
        else underWay.push(make(next.value));
      }
      const first = underWay.shift();
      if (first === undefined) return;
      signal?.throwIfAborted();
      const result = await first;
      signal?.throwIfAborted();
      yield result;
    }
  } finally {
    await Promise.all(underWay);
    if (!ended) await source.return?.();
  }
}
