/** NBD URIs that any client takes (the grammar is NetworkBlockDevice/nbd doc/uri.md). */

/** @param socketPath absolute path of the socket @param exportName VOL or VOL@SNAP */
export function unixUri(socketPath: string, exportName: string): string {
  return `nbd+unix:///${encode(exportName, '@')}?socket=${encode(socketPath, '/')}`;
}

/** @param address HOST:PORT, with an IPv6 host in brackets @param tls whether the client is to ask for TLS */
export function tcpUri(address: string, exportName: string, tls: boolean): string {
  return `${tls ? 'nbds' : 'nbd'}://${address}/${encode(exportName, '@')}`;
}

// QEMU splits its options at commas and a shell splits words at much more, so only what none of them minds stays plain.
function encode(text: string, plain: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll(encodeURIComponent(plain), plain);
}
