/** Where an export is, from a url of the form that libnfs has: nfs://host/export/directory?nfsport=2049&uid=1000 */
import { z } from 'zod';

export interface Location {
  readonly host: string;
  /** Of a directory that the server exports, or of one in such a directory. */
  readonly path: string;
  readonly nfsPort: number;
  /** null: the server's portmapper knows. */
  readonly mountPort: number | null;
  /** As whom the server takes us. */
  readonly uid: number;
  readonly gid: number;
}

const digits = z
  .string()
  .regex(/^\d{1,10}$/, 'must be a number')
  .transform(Number);
const port = digits.pipe(z.number().min(1).max(65_535));
const id = digits.pipe(z.number().max(0x7fff_ffff));
/** Over NFSv4 the library cannot write as much as 4096 bytes. */
const parameters = z.strictObject({
  version: z.literal('3', 'only 3 is spoken').optional(),
  nfsport: port.default(2049),
  mountport: port.optional(),
  uid: id.default(() => process.getuid?.() ?? 65_534),
  gid: id.default(() => process.getgid?.() ?? 65_534),
});

export const locationSetting = z.string().transform((text, context): Location => {
  const url = URL.canParse(text) ? new URL(text) : null;
  const path = url === null ? null : decoded(url.pathname);
  if (url?.protocol !== 'nfs:' || url.hostname === '' || path === null || path === '') {
    context.addIssue('must be like nfs://host/export/directory?nfsport=2049&mountport=20048');
    return z.NEVER;
  }
  if (url.port !== '' || url.username !== '' || url.password !== '' || url.hash !== '') {
    context.addIssue('a port goes into nfsport= and mountport=, a user into uid= and gid=');
    return z.NEVER;
  }
  const parsed = parameters.safeParse(Object.fromEntries(url.searchParams));
  if (!parsed.success) {
    for (const issue of parsed.error.issues) context.addIssue(`${issue.path.join('.') || 'its parameters'}: ${issue.message}`);
    return z.NEVER;
  }
  const { nfsport, mountport, uid, gid } = parsed.data;
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    path: path.replace(/(?<=.)\/+$/, ''),
    nfsPort: nfsport,
    mountPort: mountport ?? null,
    uid,
    gid,
  };
});

/** null for what is no percent encoding. */
function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
