// Command doorward is the authentication gateway: one binary, one file per subcommand.
//
// It wires the parts together and lives with them: it opens the stores, listens, reloads and
// drains. It decides nothing about requests, tokens or sessions itself.
//
// build.go is the only place in which the parts of Doorward meet; start there to see what
// the process consists of, and in serve.go to see how it lives.
package main
