// Package demo holds the sample applications of `doorward demo`: a landing page that explains the seven flows and plays
// them, the applications of the examples behind the gateway, the two APIs that services call through its outbound side, and for
// each example a page with the messages that it really exchanged (demo/sequence).
//
// It decides nothing and protects nothing; the gateway in front does. The APIs alone check the tokens that they are sent,
// by code of their own (verify.go): what they accept and refuse is the proof that the right token came. Its pages load
// nothing from anywhere, and work without script. Only cmd and tests import it.
//
// Start reading at landing.go, flows.go and apps.go; examples.go says how a message is recognised as one of an example, and
// service.go and api.go are the two examples of machines. The identity provider is in demo/idp.
package demo
