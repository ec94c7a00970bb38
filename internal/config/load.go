package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/doorward/doorward/flows"
	"github.com/doorward/doorward/flows/bearer"
	"github.com/doorward/doorward/flows/credential"
	"github.com/doorward/doorward/flows/personal"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/telemetry"
	"github.com/doorward/doorward/proxy"
	"github.com/doorward/doorward/sessions"
)

// Options say where the configuration comes from. The precedence is Set, Environ, file, default.
type Options struct {
	Path    string   // of the file; "" = DOORWARD_CONFIG, ./doorward.toml, /etc/doorward/doorward.toml
	Set     []string // "listen.http=127.0.0.1:8080"
	Environ []string // as os.Environ gives it; nil = the process's own
}

// Config is a configuration that can be used. It does not change.
type Config struct {
	Path     string // of the file; "" if the environment and --set are all there is
	StateDir string // where bolt and generated keys live
	Listen   Listen
	Store    string   // "bolt", "memory" or "cookie"
	Shared   string   // "bolt" or "memory"
	Keys     [][]byte // sessions.keys; the first seals. Empty = made once, in StateDir
	Log      telemetry.LogConfig
	Audit    telemetry.AuditConfig
	Trace    telemetry.TraceConfig

	sessions  sessions.Config
	providers []provider.Config
	callbacks map[string]flows.Callback
	logins    []flows.Login
	routes    []proxy.Route
	callers   []Caller       // of routes
	numbers   map[string]int // of routes, by name

	credentials   []credential.Config
	assertions    []credential.Config // of routes with headers.assertion
	users         []flows.User
	keys          []flows.Key
	tokens        personal.Config
	egress        []proxy.EgressTarget
	egressCallers map[string]bearer.Config // by name, of those that accept bearer tokens

	origins  []origin.Origin
	warnings []string
	files    []string
}

// Format keeps keys and secrets out of everything that prints a Config.
func (c *Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "configuration "+c.Path) }

// Warnings are what an operator should know at every start.
func (c *Config) Warnings() []string { return slices.Clone(c.warnings) }

// Files are all files whose content is part of the configuration.
func (c *Config) Files() []string { return slices.Clone(c.files) }

// maxProblems bounds how many problems are told at once.
const maxProblems = 100

// loader is what reading one configuration needs.
type loader struct {
	environ  map[string]string
	dir      string  // what relative paths are relative to
	whole    *source // the file, for what has no place in it; nil without one
	readable bool    // by everybody: the file
	schema   *spec
	problems []Problem
	warnings noted
	files    noted
}

func (l *loader) report(at place, what about, format string, args ...any) {
	if len(l.problems) >= maxProblems {
		return
	}
	if at.src == nil {
		at.src = l.whole
	}
	l.problems = append(l.problems, at.problem(what, withoutPasswords(fmt.Sprintf(format, args...))))
}

func (l *loader) warn(format string, args ...any) {
	l.warnings.add(fmt.Sprintf(format, args...))
}

// watch notes a file as part of the configuration.
func (l *loader) watch(path string) {
	l.files.add(path)
}

// noted is a list in which nothing stands twice.
type noted struct {
	list []string
	has  map[string]bool
}

func (n *noted) add(s string) {
	if n.has[s] {
		return
	}
	if n.has == nil {
		n.has = make(map[string]bool)
	}
	n.has[s] = true
	n.list = append(n.list, s)
}

func (l *loader) getenv(name string) (string, bool) {
	v, ok := l.environ[name]
	return v, ok
}

// Load reads and validates a configuration. Its error is an *Error that tells everything that
// is wrong. It opens the files that the configuration names, and nothing else.
func Load(o Options) (*Config, error) {
	l := &loader{environ: environment(o.Environ), schema: schema()}
	c := &Config{numbers: make(map[string]int)}
	root := l.tree(o, c)
	if root == nil {
		return nil, &Error{l.problems}
	}
	l.fromEnvironment(root)
	l.fromFlags(root, o.Set)
	l.conform("", l.schema, root)
	l.read(root, c)
	if len(l.problems) > 0 {
		return nil, &Error{sorted(l.problems)}
	}
	c.warnings, c.files = l.warnings.list, l.files.list
	return c, nil
}

func environment(list []string) map[string]string {
	if list == nil {
		list = os.Environ()
	}
	m := make(map[string]string, len(list))
	for _, entry := range list {
		if name, value, ok := strings.Cut(entry, "="); ok {
			m[name] = value
		}
	}
	return m
}

// tree finds and parses the file, or reports why it can't and returns nil. Without a file the
// tree is empty.
func (l *loader) tree(o Options, c *Config) *node {
	path, data, err := l.locateFile(o)
	if err != nil {
		l.report(place{}, aValue, "%s", err)
		return nil
	}
	c.Path, l.dir = path, "."
	if path == "" {
		return newTable(place{})
	}
	l.dir = filepath.Dir(path)
	l.watch(path)
	src := newFile(path, data)
	l.whole = &source{name: path}
	root, err := parse(src)
	if err != nil {
		l.syntax(src, err)
		return nil
	}
	l.nameRoutes(root)
	return root
}

func (l *loader) syntax(src *source, err error) {
	var d *toml.DecodeError
	if !errors.As(err, &d) {
		l.report(place{src: src}, aSyntax, "this is no TOML: %s", err)
		return
	}
	line, column := d.Position()
	line = min(line, len(src.starts))
	at := src.place(min(src.starts[line-1]+column-1, len(src.data)), 0)
	for at.start+at.width < len(src.data) && isKeyByte(src.data[at.start+at.width]) {
		at.width++
	}
	l.report(at, aSyntax, "this is no TOML: %s", strings.TrimPrefix(d.Error(), "toml: "))
}

// isKeyByte is what a key without quotes is made of.
func isKeyByte(c byte) bool {
	return c == '-' || c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// places are where a configuration is looked for if nobody says where it is.
func places() []string { return []string{"doorward.toml", "/etc/doorward/doorward.toml"} }

// locateFile reads the file that is to be used. path is "" if there is none and none is needed.
func (l *loader) locateFile(o Options) (path string, data []byte, err error) {
	if path = o.Path; path == "" {
		path = l.environ["DOORWARD_CONFIG"]
	}
	if path != "" {
		data, err = l.readConfiguration(path)
		return path, data, err
	}
	for _, path = range places() {
		data, err = l.readConfiguration(path)
		if err == nil {
			return path, data, nil
		}
		if _, stat := os.Stat(path); !errors.Is(stat, fs.ErrNotExist) {
			return "", nil, err
		}
	}
	if len(o.Set) > 0 || l.anyVariable() {
		return "", nil, nil
	}
	return "", nil, fmt.Errorf("there is no configuration: neither --config nor DOORWARD_CONFIG names one, and there is no %s", strings.Join(places(), " and no "))
}

func (l *loader) readConfiguration(path string) ([]byte, error) {
	data, mode, err := readFile(path, maxConfiguration)
	if errors.Is(err, errTooLarge) {
		err = fmt.Errorf("%w; one route can have many hosts and rules, and several gateways can each have a part of the routes", err)
	}
	l.readable = mode.Perm()&0o004 != 0
	return data, err
}

// anyVariable reports whether the environment configures anything.
func (l *loader) anyVariable() bool {
	for name := range l.environ {
		if rest, ok := strings.CutPrefix(name, envPrefix); ok && rest != "CONFIG" && !injected(rest) {
			return true
		}
	}
	return false
}

// read makes values of a tree that conforms to the schema, as far as it does.
func (l *loader) read(root *node, c *Config) {
	t := table{l, "", root}
	c.StateDir = l.stateDir(t)
	c.Listen = readListen(t.table("listen"))
	readSessions(t.table("sessions"), c)
	readTelemetry(t.table("telemetry"), c)
	g := &composer{l: l, c: c, root: t, paths: make(map[string]string)}
	g.readProviders()
	g.readLogins()
	g.readCredentials()
	g.readUsers()
	g.readKeys()
	g.readTokens()
	g.readRoutes()
	g.readEgressListener()
	g.readEgress()
	g.compose()
}

// stateDir is where what must survive a restart is kept.
func (l *loader) stateDir(t table) string {
	if dir := t.filled("state_dir", ""); dir != "" {
		return l.beside(dir)
	}
	if dirs, _ := l.getenv("STATE_DIRECTORY"); dirs != "" { // systemd separates several by colons
		dir, _, _ := strings.Cut(dirs, ":")
		return dir
	}
	if dir, _ := l.getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "doorward")
	}
	return "/var/lib/doorward"
}
