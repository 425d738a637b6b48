package control

import (
	"encoding/json"
	"net/http"

	"github.com/postmoat/postmoat/pkg/daemon"
)

// events writes what happens, an object a line, until the client goes or the
// daemon ends.
func (s *Server) events(w http.ResponseWriter, q *http.Request) error {
	select {
	case s.listeners <- struct{}{}:
		defer func() { <-s.listeners }()
	default:
		return &Error{Status: http.StatusServiceUnavailable, What: "too many listen to events already", Hint: "end one of them"}
	}
	events := s.d.Subscribe(q.Context())
	if events == nil {
		return daemon.ErrStopped
	}
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	if rc.Flush() != nil {
		return nil
	}
	for e := range events {
		if !writeEvent(w, e) {
			return nil
		}
		// What came together goes together.
		for more := true; more; {
			select {
			case e, ok := <-events:
				if more = ok; ok && !writeEvent(w, e) {
					return nil
				}
			default:
				more = false
			}
		}
		if rc.Flush() != nil {
			return nil
		}
	}
	return nil
}

func writeEvent(w http.ResponseWriter, e daemon.Event) bool {
	text, err := json.Marshal(e)
	if err != nil {
		return true // a time that JSON cannot write: nothing to lose a listener for
	}
	_, err = w.Write(append(text, '\n'))
	return err == nil
}
