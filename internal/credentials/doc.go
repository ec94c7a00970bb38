// Package credentials reads what a client says of itself in an Authorization header: the
// schemes Bearer (RFC 6750 §2.1), DPoP (RFC 9449 §7.1) and Basic (RFC 7617), and whether what stands
// there is a ticket or a personal token that Doorward itself gave out. [Presented] is what a request shows of a bearer
// token, [Refusal] why one does not count. It judges nobody.
//
// It is a package of its own because three others must read a header in the same way: the
// proxy, which decides who is asked, and those who are asked. Two readings of one header are how
// one caller becomes another.
package credentials
