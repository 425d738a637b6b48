package sever

// Remember makes Sever remember fewer sockets at once.
func (s *Severer) Remember(n int) { s.most = n }
