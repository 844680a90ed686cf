/** Lists that come page by page. */
import { admin_page_resources_max } from '../api/routes.js';

/** Follows `next` to the end; a daemon of before there were pages gives none. */
export async function allPages<T>(
  ask: (page: {
    readonly after?: string;
    readonly limit: number;
  }) => Promise<{ readonly found: T[]; readonly next?: string | null }>,
): Promise<T[]> {
  const all: T[] = [];
  let after: string | null | undefined;
  do {
    const page = await ask({ ...(typeof after === 'string' ? { after } : {}), limit: admin_page_resources_max });
    for (const one of page.found) all.push(one);
    after = page.next;
  } while (typeof after === 'string');
  return all;
}
