// Package signing signs JWTs in Doorward's own name: assertions for upstreams that verify them with the JWK Set.
//
// The keys are made from the key ring, so that all replicas sign and publish the same ones and none is stored. The first
// key of the ring signs; what the others have signed still verifies, as all are published. The package verifies nothing:
// there is one validator of tokens, and it is not here.
//
// Start at [Keys].
package signing
