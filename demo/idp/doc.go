// Package idp is a complete OpenID provider in one http.Handler.
package idp
