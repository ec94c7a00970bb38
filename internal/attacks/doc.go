// Package attacks holds the catalogue of attacks on gateways that Doorward is tested against, and makes of it and of the
// tests in this tree the table docs/attacks-covered.md. A test belongs to an attack if its name, or the name of one of its
// subtests, holds the attack's number: TestP154…, or t.Run("P154 …").
//
// An attack on something that Doorward does not have yet is a test, too: one whose name begins with TestAbsent shows that
// it is not there (404, 405, or an unknown key). By which versions of HTTP a row is tried is read off what its tests call,
// and what clients send must be tried by both (versions_test.go).
//
// The package ships nothing; start reading at table_test.go, and make the table anew with
//
//	go test ./internal/attacks -update
package attacks
