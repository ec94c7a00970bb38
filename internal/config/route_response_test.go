package config

import (
	"fmt"
	"testing"
)

func TestWhatIsChangedOfAnswersIsRead(t *testing.T) {
	c := given{toml: minimal + `
response_headers = { set = { X-Frame-Options = "DENY" }, default = { Content-Security-Policy = "default-src 'self'" }, remove = ["Server"] }
compress = ["gzip", "zstd"]
`}.mustLoad(t)
	if got := fmt.Sprint(c.Proxy().Routes[0].Response); got != "{map[X-Frame-Options:DENY] map[Content-Security-Policy:default-src 'self'] [Server] [gzip zstd]}" {
		t.Errorf("%s", got)
	}
	given{toml: minimal + "public = true\nresponse_headers = { set = { Cache-Control = \"public, s-maxage=60\" } }\n"}.mustLoad(t)
}

func TestHeadersOfAnswersThatAreNotARoutesAreToldWhereTheyAre(t *testing.T) {
	for name, b := range map[string]broken{
		"nothing":                    {minimal + "response_headers = {}\n", "response_headers", "name one of set"},
		"misspelt":                   {minimal + "response_headers = { sets = {} }\n", "sets", `did you mean "set"?`},
		"framing":                    {minimal + "response_headers = { set = { Content-Length = \"0\" } }\n", `"0"`, "how the answer is sent"},
		"a cookie":                   {minimal + "response_headers = { set = { Set-Cookie = \"a=b\" } }\n", `"a=b"`, "cookie"},
		"a name":                     {minimal + "response_headers = { set = { X_A = \"b\" } }\n", `"b"`, "letters, digits and -"},
		"a line break":               {minimal + "response_headers = { default = { X-A = \"b\\nc\" } }\n", `"b\nc"`, "printable"},
		"empty":                      {minimal + "response_headers = { set = { X-A = \"\" } }\n", `""`, "remove"},
		"set and removed":            {minimal + "response_headers = { set = { X-A = \"1\" }, remove = [\"X-B\", \"x-a\"] }\n", `"x-a"`, "already"},
		"removed framing":            {minimal + "response_headers = { remove = [\"Transfer-Encoding\"] }\n", `"Transfer-Encoding"`, "not the route's to remove"},
		"shared caches":              {minimal + "response_headers = { set = { Cache-Control = \"public\" } }\n", `"public"`, "public = true"},
		"an unknown coding":          {minimal + "compress = [\"gzip\", \"brotli\"]\n", `"brotli"`, "neither"},
		"a coding twice":             {minimal + "compress = [\"gzip\", \"gzip\"]\n", `"gzip"]`, "twice"},
		"no coding":                  {minimal + "compress = []\n", "compress", "leave it out"},
		"a coding that is no list":   {minimal + "compress = \"gzip\"\n", `"gzip"`, "a list is wanted here"},
		"headers that are not texts": {minimal + "response_headers = { set = { X-A = 1 } }\n", "1 }", "text in quotes"},
	} {
		t.Run(name, b.check)
	}
}
