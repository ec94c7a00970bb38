package demo_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/demo"
	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
)

// apiWorld is a provider with the two APIs, and an outbound side that a test plays.
type apiWorld struct {
	*idp.Server
	storage, b, apps http.Handler
	outbound         http.HandlerFunc
}

func newAPIWorld(t *testing.T, change func(*idp.Config)) *apiWorld {
	t.Helper()
	config := idptest.Standard()
	if change != nil {
		change(&config)
	}
	w := &apiWorld{Server: idptest.Start(t, config)}
	serve := func(h func(http.ResponseWriter, *http.Request)) string {
		s := httptest.NewServer(http.HandlerFunc(h))
		t.Cleanup(s.Close)
		return s.URL
	}
	c := settings()
	c.Provider, c.Now = w.Issuer(), time.Now
	c.Storage = serve(func(rw http.ResponseWriter, r *http.Request) { w.storage.ServeHTTP(rw, r) })
	c.ServiceB = serve(func(rw http.ResponseWriter, r *http.Request) { w.b.ServeHTTP(rw, r) })
	c.Egress = serve(func(rw http.ResponseWriter, r *http.Request) { w.outbound(rw, r) })
	var err error
	if w.storage, w.b, err = demo.APIs(c); err != nil {
		t.Fatal(err)
	}
	if w.apps, err = demo.Apps(c); err != nil {
		t.Fatal(err)
	}
	return w
}

// said is what an API answers to a token.
type said struct {
	Verdict, Reason, Aud, Sub string
	Act                       map[string]any
	Checks                    []struct {
		Check string
		OK    bool
	}
}

func (w *apiWorld) orders(t *testing.T, authorization string) (answer, said) {
	t.Helper()
	a := ask(t, w.b, http.MethodGet, demo.OrdersPath, "Authorization", authorization)
	var s said
	if err := json.Unmarshal([]byte(a.body), &s); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return a, s
}

func TestAnAPIAcceptsWhatTheProviderHasSignedForIt(t *testing.T) {
	for _, alg := range []string{"ES256", "RS256"} {
		w := newAPIWorld(t, func(c *idp.Config) { c.SigningAlgs = []string{alg} })
		token := w.MustMint(idp.Mint{
			User: "alice", Audience: []string{"other", demo.ServiceBAudience}, Claims: map[string]any{"act": map[string]any{"sub": "microservice-a"}},
		})
		for range 3 {
			a, s := w.orders(t, "Bearer "+token)
			if a.status != 200 || s.Verdict != "accepted" || s.Sub != "8f2c-alice" || s.Act["sub"] != "microservice-a" || len(s.Checks) != 4 {
				t.Fatalf("%s: %d %s", alg, a.status, a.body)
			}
		}
		if n := w.Count(idp.JWKS); n != 1 {
			t.Errorf("%s: the keys were read %d times", alg, n)
		}
		if a := ask(t, w.storage, http.MethodPost, demo.BackupsPath, "Authorization", "bearer "+w.MustMint(idp.Mint{Audience: []string{demo.StorageAudience}})); a.status != 201 {
			t.Errorf("%s: %d %s", alg, a.status, a.body)
		}
	}
}

func TestAnAPIRefusesEverythingElseAndSaysWhatIsWrong(t *testing.T) {
	w := newAPIWorld(t, nil)
	other, err := idp.NewKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	mint := func(m idp.Mint) string {
		m.User = "alice"
		if m.Audience == nil {
			m.Audience = []string{demo.ServiceBAudience}
		}
		return w.MustMint(m)
	}
	good := mint(idp.Mint{})
	head, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	changed := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"` + w.Issuer() + `","aud":"microservice-b","exp":4102444800,"sub":"mallory"}`))
	for name, c := range map[string]struct{ token, reason string }{
		"for another":        {mint(idp.Mint{Audience: []string{"microservice-a"}}), "aud is wrong: wanted microservice-b, got microservice-a"},
		"for nobody":         {mint(idp.Mint{Claims: map[string]any{"aud": nil}}), "aud is wrong"},
		"ended":              {mint(idp.Mint{Lifetime: -time.Minute}), "exp is wrong"},
		"without end":        {mint(idp.Mint{Claims: map[string]any{"exp": nil}}), "exp is wrong"},
		"of another issuer":  {mint(idp.Mint{Claims: map[string]any{"iss": "https://evil.example"}}), "iss is wrong"},
		"an ID token":        {mint(idp.Mint{Header: map[string]any{"typ": "JWT"}}), "no access token"},
		"opaque":             {mint(idp.Mint{Opaque: true}), "no JWT"},
		"unsigned":           {mint(idp.Mint{Sign: idp.SignNone}), "signature is wrong"},
		"by a stranger":      {mint(idp.Mint{Key: &other}), "nobody whom the provider knows"},
		"by a stranger's":    {mint(idp.Mint{Sign: idp.SignWrongKey}), "nobody whom the provider knows"},
		"by the public key":  {mint(idp.Mint{Sign: idp.SignHS256PublicKey}), "signature is wrong"},
		"with its own key":   {mint(idp.Mint{Sign: idp.SignEmbeddedKey}), "nobody whom the provider knows"},
		"a flipped bit":      {mint(idp.Mint{Sign: idp.SignCorrupt}), "nobody whom the provider knows"},
		"with other claims":  {head + "." + changed + "." + signature, "nobody whom the provider knows"},
		"without signature":  {head + "." + payload + ".", "nobody whom the provider knows"},
		"garbage":            {"a.b.c", "no JWT"},
		"two parts":          {"e30.e30", "no JWT"},
		"nothing but claims": {"e30.e30.", "no access token"},
	} {
		t.Run(name, func(t *testing.T) {
			a, s := w.orders(t, "Bearer "+c.token)
			if a.status != 401 || s.Verdict != "refused" || !strings.Contains(s.Reason, c.reason) {
				t.Errorf("%d %s", a.status, a.body)
			}
			if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), `Bearer realm="MicroserviceB", error="invalid_token"`) {
				t.Errorf("challenge %q", a.header.Get("WWW-Authenticate"))
			}
			if strings.Contains(s.Reason, "signature") && s.Sub != "" {
				t.Errorf("it believes that the subject is %q", s.Sub)
			}
		})
	}
	for _, none := range []string{"", "Basic YTpi", "Bearer", "Bearer "} {
		a, _ := w.orders(t, none)
		if challenge := a.header.Get("WWW-Authenticate"); a.status != 401 || challenge != `Bearer realm="MicroserviceB"` {
			t.Errorf("%q: %d %s", none, a.status, challenge)
		}
	}
	if n := w.Count(idp.JWKS); n != 1 {
		t.Errorf("unknown keys made it read the keys %d times", n)
	}
}

func TestAnAPIWhoseProviderIsAwayRefuses(t *testing.T) {
	for _, sin := range []string{"discovery_404", "discovery_other_issuer", "discovery_metadata_ip", "jwks_down", "jwks_empty"} {
		w := newAPIWorld(t, nil)
		w.Misbehave(idp.Named(sin).Always())
		if a, s := w.orders(t, "Bearer "+w.MustMint(idp.Mint{Audience: []string{demo.ServiceBAudience}})); a.status != 401 || s.Verdict != "refused" {
			t.Errorf("%s: %d %s", sin, a.status, a.body)
		}
	}
}

func TestTheBackupServiceShowsWhatTheStorageSays(t *testing.T) {
	w := newAPIWorld(t, nil)
	w.outbound = func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Method != http.MethodPost {
			t.Errorf("the service sends %s with %v", r.Method, r.Header)
		}
		path, audience := "", demo.StorageAudience
		var ok bool
		if path, ok = strings.CutPrefix(r.URL.Path, demo.DataPath+"/"); !ok {
			path, audience = strings.TrimPrefix(r.URL.Path, demo.StrayPath+"/"), "billing-api"
		}
		r.URL.Path = "/" + path
		r.Header.Set("Authorization", "Bearer "+w.MustMint(idp.Mint{Audience: []string{audience}}))
		w.storage.ServeHTTP(rw, r)
	}
	for how, words := range map[string][]string{
		"doorward": {"DataStorageAPI accepts it", "Sent through Doorward, without any token", "201 Created", "sub doorward", "right: aud"},
		"none":     {"DataStorageAPI refuses it", "401 Unauthorized : there is no access token"},
		"other":    {"DataStorageAPI refuses it", "401 Unauthorized", "wrong: aud", "aud wanted data-storage-api , got billing-api"},
	} {
		a := submit(t, w.apps, "/nightlybackup/", url.Values{"how": {how}}, navigation...)
		checkMarkup(t, a.body)
		for _, want := range words {
			if read := text(t, a.body); a.status != 200 || !strings.Contains(read, want) {
				t.Errorf("%s: the page doesn't say %q: %s", how, want, read)
			}
		}
	}
	w.outbound = func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/problem+json")
		rw.WriteHeader(http.StatusServiceUnavailable)
		_, _ = rw.Write([]byte(`{"title":"The sign-in service does not answer","code":"provider_unavailable"}`))
	}
	read := text(t, submit(t, w.apps, "/nightlybackup/", url.Values{"how": {"doorward"}}, navigation...).body)
	if !strings.Contains(read, "It did not get there") || !strings.Contains(read, "503 Service Unavailable : The sign-in service does not answer (provider_unavailable)") {
		t.Error(read)
	}
	w.outbound = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	if read := text(t, submit(t, w.apps, "/nightlybackup/", url.Values{"how": {"doorward"}}, navigation...).body); !strings.Contains(read, "nobody answers") {
		t.Error(read)
	}
}

func TestMicroserviceAPassesOnThePersonsToken(t *testing.T) {
	w := newAPIWorld(t, nil)
	persons := w.MustMint(idp.Mint{User: "alice", Audience: []string{"microservice-a"}})
	w.outbound = func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+persons || r.Header.Get("Sec-Fetch-Mode") != "" || r.URL.Path != demo.ServiceBPath+demo.OrdersPath {
			t.Errorf("A sends %s with %v", r.URL, r.Header)
		}
		r.URL.Path = demo.OrdersPath
		r.Header.Set("Authorization", "Bearer "+w.MustMint(idp.Mint{User: "alice", Audience: []string{demo.ServiceBAudience}, Claims: map[string]any{"act": map[string]any{"sub": "microservice-a"}}}))
		w.b.ServeHTTP(rw, r)
	}
	headers := append([]string{"X-Forwarded-User", "alice", "Authorization", "Bearer " + persons, "Sec-Fetch-Site", "same-origin"}, navigation...)
	for how, words := range map[string][]string{
		"doorward": {"MicroserviceB accepts it", "aud microservice-b", "sub 8f2c-alice", `act {"sub":"microservice-a"}`},
		"own":      {"MicroserviceB refuses it", "aud wanted microservice-b , got microservice-a", "sub 8f2c-alice"},
		"none":     {"MicroserviceB refuses it", "there is no access token"},
	} {
		a := submit(t, w.apps, "/microservice-a/", url.Values{"how": {how}}, headers...)
		checkMarkup(t, a.body)
		for _, want := range append(words, "What MicroserviceA does for alice", "an access token, good for another") {
			if read := text(t, a.body); a.status != 200 || !strings.Contains(read, want) {
				t.Errorf("%s: the page doesn't say %q: %s", how, want, read)
			}
		}
		if strings.Contains(a.body, persons) {
			t.Error("the page shows a token")
		}
	}
}

func TestFormsOfServicesAreTheirOwn(t *testing.T) {
	w := newAPIWorld(t, nil)
	w.outbound = func(http.ResponseWriter, *http.Request) { t.Error("something was sent") }
	for _, page := range []string{"/nightlybackup/", "/microservice-a/"} {
		if a := submit(t, w.apps, page, url.Values{"how": {"doorward"}}, "Sec-Fetch-Site", "cross-site"); a.status != http.StatusForbidden {
			t.Errorf("%s: %d from another site", page, a.status)
		}
		if a := submit(t, w.apps, page, url.Values{"how": {"http://evil.example"}}); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d", page, a.status)
		}
		if a := ask(t, w.apps, http.MethodGet, page+"x"); a.status != http.StatusNotFound {
			t.Errorf("%sx: %d", page, a.status)
		}
	}
	if a := ask(t, w.b, http.MethodPost, demo.OrdersPath); a.status != http.StatusMethodNotAllowed {
		t.Errorf("POST to B: %d", a.status)
	}
}

// FuzzVerdict: whatever stands in Authorization, nothing but the one good token is accepted.
func FuzzVerdict(f *testing.F) {
	config := idptest.Standard()
	config.Issuer = "http://idp.test"
	provider, err := idp.New(config)
	if err != nil {
		f.Fatal(err)
	}
	c := settings()
	c.Provider, c.Now = provider.Issuer(), time.Now
	c.Local = &http.Client{Transport: inMemory{provider}}
	_, b, err := demo.APIs(c)
	if err != nil {
		f.Fatal(err)
	}
	good := "Bearer " + provider.MustMint(idp.Mint{Audience: []string{demo.ServiceBAudience}, Lifetime: time.Hour})
	for _, seed := range []string{good, good + "A", strings.Replace(good, ".", "..", 1), "Bearer e30.e30.e30", "Bearer " + jwt(`{"aud":[1]}`), "bearer x", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, authorization string) {
		r := httptest.NewRequest(http.MethodGet, demo.OrdersPath, nil)
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		b.ServeHTTP(w, r)
		_, token, _ := strings.Cut(authorization, " ")
		if _, want, _ := strings.Cut(good, " "); (w.Code == http.StatusOK) != (token == want) && !sameSignature(token, want) {
			t.Errorf("%d for %q", w.Code, authorization)
		}
	})
}

// sameSignature: the last character of base64 has bits that mean nothing.
func sameSignature(a, b string) bool {
	return len(a) == len(b) && a != "" && a[:len(a)-1] == b[:len(b)-1]
}

type inMemory struct{ http.Handler }

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	return w.Result(), nil
}
