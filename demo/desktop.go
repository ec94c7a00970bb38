package demo

import (
	"encoding/json"
	"io"
	"net/http"
)

// maxForm bounds what the sample applications read of a form.
const maxForm = 16 << 10

// file is one of what the desktop application synchronises.
type file struct {
	Name string `json:"name"`
	Size string `json:"size"`
}

type folder struct {
	person
	Files []file `json:"files"`
}

// files is the server that LegacyDesktopApp talks to. It has never seen a password.
func (s *site) files(w http.ResponseWriter, r *http.Request) {
	f := folder{s.person(r), []file{{"Accounts 2009.xls", "84 kB"}, {"Letter to the bank.doc", "31 kB"}, {"Holiday.bmp", "2.3 MB"}}}
	if !wantsPage(r) {
		s.json(w, http.StatusOK, f)
		return
	}
	s.page(w, http.StatusOK, "files.html", struct {
		Config
		folder
	}{s.config, f})
}

// window is the data of the desktop application's window.
type window struct {
	Config
	Username string
	Folder   *folder // what was synchronised
	Refused  string  // what the server answered instead
}

func (s *site) window(w http.ResponseWriter, _ *http.Request) {
	s.page(w, http.StatusOK, "desktop.html", window{Config: s.config, Username: s.config.firstUser()})
}

// synchronise is the desktop application at work: a program that sends a user name and a password with each
// request, as it has for twenty years, to the address that it was once set up with. That address is now Doorward's.
func (s *site) synchronise(w http.ResponseWriter, r *http.Request) {
	if !ownForm(w, r) {
		return
	}
	v := window{Config: s.config, Username: r.PostForm.Get("username")}
	v.Folder, v.Refused = s.ask(r, v.Username, r.PostForm.Get("password"))
	s.page(w, http.StatusOK, "desktop.html", v) // a window of a program, and no answer of a server
}

func (s *site) ask(r *http.Request, username, password string) (*folder, string) {
	q, err := http.NewRequestWithContext(r.Context(), http.MethodGet, s.config.Origin+FilesPath, nil)
	if err != nil {
		return nil, "the request could not be made"
	}
	q.SetBasicAuth(username, password)
	q.Header.Set("User-Agent", "LegacyDesktopApp/2.1")
	q.Header.Set("Accept", "application/json")
	res, err := s.config.Client.Do(q)
	if err != nil {
		return nil, "the server does not answer"
	}
	defer res.Body.Close()
	body := io.LimitReader(res.Body, maxForm)
	if res.StatusCode != http.StatusOK {
		var problem struct{ Title, Code string }
		_ = json.NewDecoder(body).Decode(&problem) // the status says enough
		return nil, res.Status + ": " + problem.Title + " (" + problem.Code + ")"
	}
	f := &folder{}
	if err := json.NewDecoder(body).Decode(f); err != nil {
		return nil, "the answer could not be read"
	}
	return f, ""
}

func (c Config) firstUser() string {
	if len(c.Users) == 0 {
		return ""
	}
	return c.Users[0].Username
}
