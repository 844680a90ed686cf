/** Access control lists in XML, as AccessControlPolicy. */
import { permissions, type Acl, type Grantee } from '../../identity/acl.js';
import { checked, checkGrantee, groupOfUri, uriOfGroup } from './acl_headers.js';
import { S3Failure } from './errors.js';
import type { Exchange } from './exchange.js';
import { element, type XmlContent, type XmlNode } from './xml_document.js';
import type { XmlElement } from './xml_tree.js';

const instance_namespace = 'http://www.w3.org/2001/XMLSchema-instance';

/** Groups come first, as clients that look for the grants of accounts at the end suppose. */
export async function aclXml(exchange: Exchange, { owner, grants }: Acl): Promise<XmlContent> {
  const ofGroups = grants.filter(({ grantee }) => grantee.kind === 'group');
  const ofAccounts = grants.filter(({ grantee }) => grantee.kind === 'account');
  const list: XmlNode[] = [];
  for (const { grantee, permission } of [...ofGroups, ...ofAccounts])
    list.push(element('Grant', [await granteeXml(exchange, grantee), element('Permission', permission)]));
  return [element('Owner', await accountXml(exchange, owner)), element('AccessControlList', list)];
}

/** @throws S3Failure MalformedACLError, AccessDenied where it names another owner, InvalidArgument, UnresolvableGrantByEmailAddress */
export async function aclOfXml(exchange: Exchange, root: XmlElement, owner: string): Promise<Acl> {
  const given = inWordsOfLists(() => ({
    owner: root.required('Owner').required('ID').asText().trim(),
    grants: (root.optional('AccessControlList')?.all('Grant') ?? []).map((grant) => ({
      grantee: granteeOf(grant.required('Grantee')),
      permission: grant.required('Permission').asOneOf(permissions),
    })),
  }));
  if (given.owner !== owner) throw new S3Failure('AccessDenied');
  for (const { grantee } of given.grants) await checkGrantee(exchange, grantee);
  return checked(given);
}

function granteeOf(grantee: XmlElement): Grantee {
  const type = grantee.attributes.get('type');
  if (type === 'AmazonCustomerByEmail' || grantee.optional('EmailAddress') !== undefined)
    throw new S3Failure('UnresolvableGrantByEmailAddress');
  if (type === 'Group') return { kind: 'group', group: groupOfUri(grantee.required('URI').asText().trim()) };
  if (type === 'CanonicalUser') return { kind: 'account', canonicalId: grantee.required('ID').asText().trim() };
  throw new S3Failure('MalformedACLError');
}

async function granteeXml(exchange: Exchange, grantee: Grantee): Promise<XmlNode> {
  const attributes = (type: string): Record<string, string> => ({ 'xmlns:xsi': instance_namespace, 'xsi:type': type });
  if (grantee.kind === 'group') return element('Grantee', [element('URI', uriOfGroup(grantee.group))], attributes('Group'));
  return element('Grantee', await accountXml(exchange, grantee.canonicalId), attributes('CanonicalUser'));
}

async function accountXml({ services }: Exchange, canonicalId: string): Promise<readonly XmlNode[]> {
  const account = await services.accounts.byCanonicalId(canonicalId);
  const name = account === null ? [] : [element('DisplayName', account.displayName)];
  return [element('ID', canonicalId), ...name];
}

function inWordsOfLists<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof S3Failure && error.s3Code === 'MalformedXML')
      throw new S3Failure('MalformedACLError', undefined, { cause: error });
    throw error;
  }
}
