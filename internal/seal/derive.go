package seal

// Derive returns size bytes for one purpose from each key of the ring, in the order of the ring: the seed of a key of
// another kind, which all replicas with the same ring can make again and nobody has to store. It serves nothing that Seal
// and Hash do. size must be positive and at most 8160 (RFC 5869 §2.3).
func (r *Ring) Derive(purpose Purpose, size int) [][]byte {
	seeds := make([][]byte, len(r.keys))
	for i, k := range r.keys {
		seed, err := k.derive("doorward seal 1: derive "+string(purpose), size)
		if err != nil {
			panic("seal: " + err.Error()) // size is a constant of the caller
		}
		seeds[i] = seed
	}
	return seeds
}
