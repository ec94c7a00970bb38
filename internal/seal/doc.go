// Package seal is authenticated encryption with a key ring: for what leaves Doorward and
// must come back unread and unchanged (cookies, the state parameter), and for what lies in
// a store.
//
// A blob is
//
//	version (1 byte) | key id (4) | nonce (12) | ciphertext | tag (16)
//
// AES-256-GCM under a key that HKDF-SHA256 derives from the ring's key and the purpose. The
// version, the key id, the purpose and the caller's associated data are authenticated with
// it, so a blob of one purpose, one name or one session never opens as another (S11,
// attacks P075 and P076). Rotation is a new first key; the old ones still open.
//
// The package never says why a blob doesn't open, never compresses, and knows no time: a
// caller puts the end of validity into the plaintext, checks it, and limits the size of what
// it accepts. Keys are in no error.
//
// Beside it there is a keyed hash from the same ring ([Ring.Hash]), for names of what must not be written down.
//
// Start reading at [Ring] in seal.go; keyfile.go is where keys come from.
package seal
