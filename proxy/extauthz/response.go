package extauthz

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/doorward/doorward/proxy"
)

// Values of HeaderValueOption.HeaderAppendAction (envoy/config/core/v3/base.proto), and of google.rpc.Code.
const (
	overwriteIfExistsOrAdd = 2

	codePermissionDenied = 7
)

// render writes a CheckResponse.
func render(v proxy.Verdict) []byte {
	var b []byte
	if v.Allowed {
		b = embed(b, 1, nil) // google.rpc.Status, whose code 0 is OK
		return embed(b, 3, okResponse(v))
	}
	b = embed(b, 1, number(nil, 1, codePermissionDenied))
	return embed(b, 2, deniedResponse(v))
}

// okResponse is OkHttpResponse. What the gateway sets takes the place of what the client sent; a cookie of the gateway comes
// beside those of the upstream.
func okResponse(v proxy.Verdict) (b []byte) {
	for _, name := range slices.Sorted(maps.Keys(v.Set)) {
		value := strings.Join(v.Set[name], ", ")
		if name == "Cookie" {
			value = strings.Join(v.Set[name], "; ")
		}
		b = embed(b, 2, number(header(name, value), 3, overwriteIfExistsOrAdd))
	}
	for _, name := range v.Remove {
		b = text(b, 5, name)
	}
	return additions(b, 6, v.Answer)
}

// deniedResponse is DeniedHttpResponse.
func deniedResponse(v proxy.Verdict) []byte {
	b := embed(nil, 1, number(nil, 1, uint64(v.Status)))
	b = additions(b, 2, v.Answer)
	if len(v.Body) > 0 {
		b = protowire.AppendTag(b, 3, protowire.BytesType)
		b = protowire.AppendBytes(b, v.Body)
	}
	return b
}

// additions are headers of an answer. Each cookie is added to those that are there (APPEND_IF_EXISTS_OR_ADD, which is 0 and goes
// without saying), everything else takes the place of what is. The field append, which is older, would have Envoy join cookies.
func additions(b []byte, n protowire.Number, h http.Header) []byte {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for i, value := range h[name] {
			option := header(name, value)
			if name != "Set-Cookie" && i == 0 {
				option = number(option, 3, overwriteIfExistsOrAdd)
			}
			b = embed(b, n, option)
		}
	}
	return b
}

// header begins a HeaderValueOption with its HeaderValue.
func header(name, value string) []byte {
	return embed(nil, 1, text(text(nil, 1, strings.ToLower(name)), 2, value))
}

func embed(b []byte, n protowire.Number, message []byte) []byte {
	b = protowire.AppendTag(b, n, protowire.BytesType)
	return protowire.AppendBytes(b, message)
}

func text(b []byte, n protowire.Number, s string) []byte {
	b = protowire.AppendTag(b, n, protowire.BytesType)
	return protowire.AppendString(b, s)
}

func number(b []byte, n protowire.Number, v uint64) []byte {
	b = protowire.AppendTag(b, n, protowire.VarintType)
	return protowire.AppendVarint(b, v)
}
