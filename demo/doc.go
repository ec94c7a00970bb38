// Package demo holds the sample applications of `doorward demo`: a landing page that explains
// the seven flows and an echo application that shows what the gateway passed on.
//
// It decides nothing and protects nothing; the gateway in front does. Its pages run no script and
// load nothing from anywhere. Only cmd and tests import it. Start reading at landing.go and
// echo.go; the identity provider is in demo/idp.
package demo
