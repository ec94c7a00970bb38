package policy

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/doorward/doorward/internal/identity"
)

// Input is what expressions look at: an identity, and the canonical request (S1). Form and
// JSON are those of the approved request only.
type Input struct {
	Who    *identity.Identity
	Method string
	Host   string // as configured
	Path   string // decoded once
	Query  string // as it came, without "?"; parsed where an expression asks for it
	Header map[string][]string
	Secret []string   // names of headers, beside those that always are, that hold one: there are none of these
	IP     netip.Addr // the zero Addr if there is none
	Time   time.Time
	Form   map[string]string // each name once
	JSON   any               // objects, lists, texts, booleans and nil; numbers are texts, as they were written
}

const (
	userType    = "doorward.User"
	requestType = "doorward.Request"
)

// fieldsOf names the fields in the order of the documentation.
var fieldsOf = map[string][]string{
	userType:    {"sub", "iss", "email", "groups", "scopes", "login", "machine"},
	requestType: {"method", "host", "path", "query", "header", "ip", "time"},
}

// known lists for people what an expression may look at.
func known() string {
	return fmt.Sprintf("claims, user.{%s}, request.{%s}, form, json", strings.Join(fieldsOf[userType], ", "), strings.Join(fieldsOf[requestType], ", "))
}

// newEnvironment is the standard library of CEL and our variables: no function of it sees a
// clock, a file or the network.
func newEnvironment() (*cel.Env, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	return cel.NewEnv(
		cel.CustomTypeAdapter(registry),
		cel.CustomTypeProvider(&structs{registry}),
		cel.Variable("claims", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("user", cel.ObjectType(userType)),
		cel.Variable("request", cel.ObjectType(requestType)),
		cel.Variable("form", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("json", cel.DynType),
	)
}

// structs lets the compiler know user and request field by field, so that a field that does
// not exist is an error at start.
type structs struct{ *types.Registry }

func (s *structs) FindStructType(name string) (*types.Type, bool) {
	if fieldsOf[name] != nil {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return s.Registry.FindStructType(name)
}

func (s *structs) FindStructFieldNames(name string) ([]string, bool) {
	if fields := fieldsOf[name]; fields != nil {
		return fields, true
	}
	return s.Registry.FindStructFieldNames(name)
}

func (s *structs) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	listed := types.NewMapType(types.StringType, types.NewListType(types.StringType))
	switch name + "." + field {
	case userType + ".groups", userType + ".scopes":
		return fieldType(field, types.NewListType(types.StringType)), true
	case userType + ".machine":
		return fieldType(field, types.BoolType), true
	case userType + ".sub", userType + ".iss", userType + ".email", userType + ".login",
		requestType + ".method", requestType + ".host", requestType + ".path", requestType + ".ip":
		return fieldType(field, types.StringType), true
	case requestType + ".query", requestType + ".header":
		return fieldType(field, listed), true
	case requestType + ".time":
		return fieldType(field, types.TimestampType), true
	}
	return s.Registry.FindStructFieldType(name, field)
}

// source is user or request. A field that is not there is nil.
type source interface {
	field(name string) (any, error)
}

func fieldType(field string, t *types.Type) *types.FieldType {
	get := func(from any) (any, error) {
		s, ok := from.(source)
		if !ok {
			return nil, &Missing{field}
		}
		v, err := s.field(field)
		if v == nil && err == nil {
			return nil, &Missing{field}
		}
		return v, err
	}
	return &types.FieldType{Type: t, GetFrom: get, IsSet: func(from any) bool {
		_, err := get(from)
		return err == nil
	}}
}

// user is the identity. Its address is there only if it is verified: no other may take part in a
// decision (P202).
type user struct{ who *identity.Identity }

func (u user) field(name string) (any, error) {
	who := u.who
	if who == nil {
		return nil, nil
	}
	switch name {
	case "sub":
		return text(who.Subject), nil
	case "iss":
		return text(who.Issuer), nil
	case "email":
		if !who.EmailVerified || who.Machine {
			return nil, nil
		}
		return text(who.Email), nil
	case "groups":
		return some(who.Groups), nil
	case "scopes":
		return some(who.Scopes), nil
	case "login":
		return text(who.Login), nil
	case "machine":
		return who.Machine, nil
	}
	return nil, nil
}

type request struct{ in *Input }

func (r request) field(name string) (any, error) {
	in := r.in
	switch name {
	case "method":
		return text(in.Method), nil
	case "host":
		return text(in.Host), nil
	case "path":
		return text(in.Path), nil
	case "query":
		values, err := url.ParseQuery(in.Query)
		if err != nil { // a semicolon: what it separates differs from server to server
			return nil, fmt.Errorf("the query can be read in more than one way")
		}
		return map[string][]string(values), nil
	case "header":
		return in.header(), nil
	case "ip":
		if !in.IP.IsValid() {
			return nil, nil
		}
		return in.IP.String(), nil
	case "time":
		return in.Time, nil
	}
	return nil, nil
}

// header has names in small letters, and nothing that is a secret.
func (in *Input) header() map[string][]string {
	h := make(map[string][]string, len(in.Header))
	for name, values := range in.Header {
		if slices.Contains(in.Secret, name) {
			continue
		}
		switch name = strings.ToLower(name); name {
		case "cookie", "authorization", "proxy-authorization", "dpop":
		default:
			h[name] = values
		}
	}
	return h
}

func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func some(list []string) any {
	if list == nil {
		return []string{}
	}
	return list
}

// activation hands the variables of one evaluation to CEL.
type activation struct{ in *Input }

func (a *activation) ResolveName(name string) (any, bool) {
	switch name {
	case "claims":
		if a.in.Who == nil {
			return map[string]any{}, true
		}
		return nonNil(a.in.Who.Claims.Map()), true
	case "user":
		return user{a.in.Who}, true
	case "request":
		return request{a.in}, true
	case "form":
		if a.in.Form == nil {
			return map[string]string{}, true
		}
		return a.in.Form, true
	case "json":
		if a.in.JSON == nil {
			return map[string]any{}, true
		}
		return a.in.JSON, true
	}
	return nil, false
}

func (a *activation) Parent() cel.Activation { return nil }

func nonNil(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}
