package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A handler answers a request that is well formed. What it returns as an error
// is the answer as long as it has written nothing.
type handler func(w http.ResponseWriter, q *http.Request) error

// routes are the handlers by path and method. A path that ends in / also
// stands for what is behind it.
type routes map[string]map[string]handler

func (s *Server) routes() routes {
	const v = "/" + Version
	return routes{
		v + "/status":       {http.MethodGet: s.status},
		v + "/bans":         {http.MethodGet: s.bans},
		v + "/explain/":     {http.MethodGet: s.explain},
		v + "/allow":        {http.MethodGet: s.allowlist},
		v + "/events":       {http.MethodGet: s.events},
		v + "/ban":          {http.MethodPost: s.ban},
		v + "/unban":        {http.MethodPost: s.unban},
		v + "/allow/add":    {http.MethodPost: s.allowAdd},
		v + "/allow/remove": {http.MethodPost: s.allowRemove},
		v + "/reload":       {http.MethodPost: s.reload},
		v + "/pause":        {http.MethodPost: s.pause},
		v + "/resume":       {http.MethodPost: s.resume},
		"/metrics":          {http.MethodGet: s.metrics},
		"/healthz":          {http.MethodGet: s.health},
	}
}

func (r routes) find(path string) (map[string]handler, bool) {
	m, ok := r[path]
	if !ok {
		// One step up: /v1/explain/192.0.2.1
		m, ok = r[path[:strings.LastIndexByte(path, '/')+1]]
	}
	return m, ok
}

// answer checks the outside of a request, reads its body and hands it on.
func (s *Server) answer(r routes, w http.ResponseWriter, q *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	p := &patient{ResponseWriter: w, rc: http.NewResponseController(w), wait: s.wait.write}
	err := func() error {
		methods, ok := r.find(q.URL.Path)
		if !ok {
			return &Error{Status: http.StatusNotFound, What: "no such path", Hint: "this daemon speaks " + Version + " of the API: see the README"}
		}
		do, ok := methods[q.Method]
		if !ok {
			h.Set("Allow", strings.Join(slices.Sorted(maps.Keys(methods)), ", "))
			return &Error{Status: http.StatusMethodNotAllowed, What: "this path is not for that method", Hint: "use " + h.Get("Allow")}
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, maxBody))
		if _, long := errors.AsType[*http.MaxBytesError](err); long {
			return &Error{Status: http.StatusRequestEntityTooLarge, What: "the request is larger than 64 KiB"}
		}
		if err != nil {
			h.Set("Connection", "close")
			return bad("the request ended early", "")
		}
		if q.Method == http.MethodGet && len(body) > 0 {
			return bad("a GET has no body", "")
		}
		q.Body = io.NopCloser(bytes.NewReader(body))
		// All was read: from here on the limits are of the daemon's answer and
		// of each piece that is written. A deadline for reading would end the
		// context of a request that takes longer.
		if err := p.rc.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
		return do(p, q)
	}()
	if err == nil {
		return
	}
	e := answerTo(err, http.StatusInternalServerError)
	// A client that is gone does not hear this.
	_ = reply(p, e.Status, problem{e.What, e.Hint})
}

// A patient writer gives the client its time for each piece anew.
type patient struct {
	http.ResponseWriter
	rc   *http.ResponseController
	wait time.Duration
}

// Unwrap is for [http.ResponseController].
func (p *patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *patient) Write(b []byte) (int, error) {
	if err := p.rc.SetWriteDeadline(time.Now().Add(p.wait)); err != nil {
		return 0, err
	}
	return p.ResponseWriter.Write(b)
}

// reply writes a whole answer.
func reply(w http.ResponseWriter, status int, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // a client that is gone does not matter
	return nil
}

var errNoBody = bad("the request has no body", "send one JSON object")

// read reads the JSON object that a request consists of.
func read(q *http.Request, v any) error {
	d := json.NewDecoder(q.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	switch {
	case errors.Is(err, io.EOF):
		return errNoBody
	case err != nil:
		return bad("the request is not the JSON that is expected here: "+jsonError(err), "see the README for the fields")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return bad("there is something behind the JSON object", "send one JSON object")
	}
	return nil
}

// jsonError says what is wrong with JSON, without the words of Go.
func jsonError(err error) string {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return word(e.Field + ": " + e.Value + " is of the wrong type or too large")
	}
	return word(strings.TrimPrefix(err.Error(), "json: "))
}

// nothing refuses a body where none belongs: "" and {} are none.
func nothing(q *http.Request) error {
	err := read(q, &struct{}{})
	if errors.Is(err, errNoBody) {
		return nil
	}
	return err
}

// ask takes one of the few places of those who ask the daemon, and gives it
// back with done. The context ends when the daemon took too long.
func (s *Server) ask(q *http.Request) (ctx context.Context, done func(), err error) {
	ctx, cancel := context.WithTimeout(q.Context(), s.wait.call)
	select {
	case s.reads <- struct{}{}:
		return ctx, func() { <-s.reads; cancel() }, nil
	case <-ctx.Done():
		cancel()
		return nil, nil, &Error{Status: http.StatusServiceUnavailable, What: "too many ask at the same time", Hint: "try again in a moment"}
	}
}
