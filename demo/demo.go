package demo

import "net/http"

// Config is what the landing page says.
type Config struct {
	AppURL string // the protected application, through the gateway
	Users  []User
	TOML   string // that would do the same in production
}

// User is shown on the landing page.
type User struct{ Username, Password, About string }

// Landing returns the landing page.
func Landing(Config) (http.Handler, error) { panic("unbuilt") }

// Echo returns the echo application. browser tells what came from the browser, if known.
func Echo() http.Handler { panic("unbuilt") }
