/** What the tests of ceph/s3-tests are about, by their names: the first that fits. */
const groups: readonly (readonly [string, RegExp])[] = [
  ['CORS', /^test_(cors|set_cors)/],
  ['object lock', /^test_object_lock/],
  ['lifecycle', /^test_(lifecycle|delete_marker_expiration)/],
  ['public access', /public_block|block_public|ignore_public_acls|policy_status|undefined_public/],
  ['encryption', /_sse|sse_|_enc(rypt|_)|encrypted|copy_enc|copy_part_enc|bucket_encryption|kms/],
  ['policy', /policy/],
  ['ownership', /ownership|owner_(enforced|preferred)|object_writer|expected_bucket_owner/],
  ['POST form', /^test_post_object/],
  ['tagging', /_tags|tagging/],
  ['atomic', /^test_atomic/],
  ['checksum', /checksum|cksum/],
  ['conditional', /if_?match|if_?nonematch|if_none_match|ifmodified|ifunmodified/],
  ['multi-delete', /multi_object(v2)?_delete/],
  ['copy', /copy/],
  ['versioning', /version|delete_marker/],
  ['multipart', /multipart|get_part/],
  ['range', /^test_ranged/],
  ['presigned', /presigned|^test_object_raw/],
  ['ACL', /acl|^test_access_bucket|anon_put/],
  ['header', /_bad_|contentlength_none|amz_date|100_continue|_invalid_auth/],
  ['list', /^test_(bucket_list|bucketv?2?_list|bucket_listv2|basic_key_count)/],
  ['bucket', /^test_bucket/],
  ['object', /./],
];

export function groupOf(test: string): string {
  return groups.find(([, names]) => names.test(test))?.[0] ?? 'object';
}

/** Those that are to pass whole, but for what a client does not send as it was meant. */
const whole = new Set(
  ['bucket', 'object', 'list', 'multi-delete', 'multipart', 'copy', 'range', 'conditional'].concat([
    'checksum',
    'presigned',
    'header',
    'tagging',
    'CORS',
    'atomic',
  ]),
);

export function isOfWholeGroup(test: string): boolean {
  return whole.has(groupOf(test));
}
