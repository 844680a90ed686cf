/** Certificates as an operator makes them, with openssl; laid out as libnbd and QEMU look for them in a directory. */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { must } from './command.ts';

export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

export class Authority {
  readonly certificate: string;
  readonly #directory: string;
  readonly #key: string;

  private constructor(directory: string) {
    this.#directory = directory;
    this.certificate = join(directory, 'authority.pem');
    this.#key = join(directory, 'authority.key');
  }

  /** `directory` is made, and is this authority's alone. */
  static async make(directory: string, name: string): Promise<Authority> {
    mkdirSync(directory, { recursive: true });
    const authority = new Authority(directory);
    const extensions = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign'];
    const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-sha256', '-days', '2', '-subj', `/CN=${name}`];
    const files = ['-keyout', authority.#key, '-out', authority.certificate];
    await must('openssl', [...request, ...files, ...extensions.flatMap((extension) => ['-addext', extension])]);
    return authority;
  }

  /** `names`: of subjectAltName, such as DNS:localhost. */
  async issue(commonName: string, names: readonly string[] = []): Promise<Certificate> {
    const base = join(this.#directory, `${commonName}-${names.length}`);
    const made = { certificate: `${base}.pem`, key: `${base}.key` };
    const subject = ['-subj', `/CN=${commonName}`];
    await must('openssl', ['req', '-newkey', 'rsa:2048', '-nodes', ...subject, '-keyout', made.key, '-out', `${base}.csr`]);
    const extensions = ['basicConstraints=CA:FALSE', 'keyUsage=digitalSignature,keyEncipherment'];
    if (names.length > 0) extensions.push(`subjectAltName=${names.join(',')}`);
    writeFileSync(`${base}.ext`, extensions.join('\n'));
    const sign = ['x509', '-req', '-sha256', '-days', '2', '-in', `${base}.csr`, '-extfile', `${base}.ext`];
    const by = ['-CA', this.certificate, '-CAkey', this.#key, '-CAcreateserial'];
    await must('openssl', [...sign, ...by, '-out', made.certificate]);
    return made;
  }

  /** A directory for `tls-certificates=` of an NBD URI, and for QEMU's tls-creds-x509: whom to trust, and what to show. */
  clientDirectory(path: string, own: Certificate | null): string {
    mkdirSync(path, { recursive: true });
    copyFileSync(this.certificate, join(path, 'ca-cert.pem'));
    if (own !== null) {
      copyFileSync(own.certificate, join(path, 'client-cert.pem'));
      copyFileSync(own.key, join(path, 'client-key.pem'));
    }
    return path;
  }
}
