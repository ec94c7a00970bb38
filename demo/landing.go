package demo

import "net/http"

// landing is the data of the page.
type landing struct {
	Config
	Flows []flow
}

// Landing returns the application at the root of the demo: one page that says what Doorward does,
// flow by flow, and where to press, and for each example a page with the messages that it exchanged.
func Landing(c Config) (http.Handler, error) {
	s, err := newSite(c)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		s.page(w, http.StatusOK, "landing.html", landing{s.config, flows(s.config)})
	})
	mux.HandleFunc("GET "+sequencePath+"{example}", s.sequence)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		s.page(w, http.StatusNotFound, "nothing.html", s.config)
	})
	return mux, nil
}
