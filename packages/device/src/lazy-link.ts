import { TierwiseError } from '@tierwise/core';
import type { Link, LinkOptions } from './link.ts';

/**
 * `openLink`, its code fetched when it is called: a page whose bundle names no edge never loads frames and codec,
 * and no page waits for them before its first answer. Until the code is there requests wait; when it cannot be had
 * they fail with EDGE_UNREACHABLE, and the branch answers.
 */
export function openLinkLater(options: LinkOptions): Link {
  let link: Link | undefined;
  let failed = false;
  let closed = false;
  const opening = import('./link.ts').then(
    ({ openLink }) => {
      if (closed) throw new TierwiseError('DISPOSED', 'the composite has been disposed');
      link = openLink(options);
      return link;
    },
    (cause: unknown) => {
      failed = true;
      if (!closed) options.onState('unreachable');
      throw new TierwiseError('EDGE_UNREACHABLE', 'the code of the link could not be loaded', {}, { cause });
    },
  );
  // Each request reports the failure; without a request nobody needs to know.
  opening.catch(() => {});
  return {
    get state() {
      return link?.state ?? (failed ? 'unreachable' : 'connecting');
    },
    send: async (request) => (await opening).send(request),
    close() {
      closed = true;
      link?.close();
    },
  };
}
