/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WARREN_OPENFLOW_TEXT_VALUE_H
#define WARREN_OPENFLOW_TEXT_VALUE_H
/* Pieces of the text syntax that its files share: cutting into key and value, numbers, ports, field values, subfields.
 */
#include "base/strbuf.h"
#include "openflow/text.h"

/* Sets *RET_ERROR (NULL: nobody wants it; one that is there already stays) and returns -EINVAL. */
int text_fail(char **ret_error, const char *fmt, ...) WR_PRINTF(2, 3);

/* Cuts the next "key", "key=value", "key:value" or "key(value)" off *POS, in place; pieces are separated by commas and
 * blanks. The value is "" when there is none; parentheses and double quotes inside it are kept together. 1: there was
 * one. 0: the end. -EINVAL and *RET_ERROR: unbalanced. */
int text_next(char **pos, char **key, char **value, char **ret_error);
/* "5", "0x1f", at most MAX. -EINVAL. */
int text_u64(const char *s, uint64_t max, uint64_t *ret);
/* A number into N big-endian bytes, which it must fit. */
int text_number(const char *s, uint8_t *ret, size_t n);

/* A number, a reserved port's name, or with NAMES a port's name, quoted or not. -EINVAL. */
int port_parse(const char *s, const struct name_map *names, ofp_port_t *ret);
void port_format(ofp_port_t port, const struct name_map *names, struct strbuf *b);

/* "VALUE" or, with RET_MASK, "VALUE/MASK". Bits outside the mask are dropped, as ovs-ofctl does. */
int field_value_parse(const struct field *f, const char *s, const struct name_map *names, union field_value *ret_value,
                      union field_value *ret_mask, char **ret_error);
void field_value_format(const struct field *f, const union field_value *value, const union field_value *mask,
                        const struct name_map *names, struct strbuf *b);
void ipv4_format_masked(const uint8_t *addr, const uint8_t *mask, struct strbuf *b);
void ipv6_format_masked(const uint8_t *addr, const uint8_t *mask, struct strbuf *b);
void eth_format_masked(const uint8_t *addr, const uint8_t *mask, struct strbuf *b);
void tcp_flags_format(uint16_t flags, uint16_t mask, struct strbuf *b);
void frag_format(uint8_t frag, uint8_t mask, struct strbuf *b);

/* "NXM_OF_VLAN_TCI[0..11]", "reg0[]", "reg0[3]", "reg0". */
int subfield_parse(const char *s, struct subfield *ret, char **ret_error);
void subfield_format(const struct subfield *sf, struct strbuf *b);

/* The matches' second half: sets one key of a flow's match. PROTOCOL keywords have no value. -ENOENT: no such key. */
int match_parse_key(struct match *m, const char *key, const char *value, const struct name_map *names,
                    char **ret_error);
/* Matches stand in any order in text; keys of lower rank must be set first for the prerequisites of others. */
unsigned int match_key_rank(const char *key);
#define MATCH_RANKS 5

/* As ofpacts_parse(); MATCH (may be NULL) tells mod_tp_src which protocol's port is meant. */
int actions_parse(const char *text, const struct name_map *names, const struct match *match, struct ofpacts *acts,
                  char **ret_error);
/* The names of multipath's and bundle's values, and back (-EINVAL). */
const char *hash_fields_name(uint16_t fields);
const char *multipath_algorithm_name(uint16_t algorithm);
const char *bundle_algorithm_name(uint16_t algorithm);
int multipath_parse(char *text, struct ofpacts *acts, char **ret_error);
int bundle_parse(char *text, bool load, const struct name_map *names, struct ofpacts *acts, char **ret_error);
int controller_parse(char *text, struct ofpacts *acts, char **ret_error);
/* Pairs of hex digits, dots between them as one likes: *RET_DATA is the caller's, also on failure. */
int hex_bytes_parse(const char *text, uint8_t **ret_data, uint16_t *ret_n, char **ret_error);
int learn_parse(char *text, const struct name_map *names, struct ofpacts *acts, char **ret_error);
void learn_format(const struct ofpact_learn *learn, const struct name_map *names, struct strbuf *b);
/* "0x1f" of the low N_BITS of a right-aligned 16-byte value. */
void hex_format(const union field_value *v, struct strbuf *b);
int immediate_parse(const char *s, uint16_t n_bits, union field_value *ret, char **ret_error);

#endif
