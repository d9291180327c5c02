# Plain comments become Doxygen's: the file's first one its description, one before a declaration the declaration's, one behind a
# member the member's. Rules between sections (/* ---- x ---- */) stay plain. Within comments, what looks like a tag or a command
# is text.
1s:^/\* :/** \\file\n * :
t escape
\:^ *#:b
\:^ */\* -+:b
s:^( *)/\* :\1/** :
t escape
s:([;,{}]) +/\* :\1 /**< :
t escape
\:^ *\*:!b
:escape
s|<([a-z_]+/[a-z_]*(\.[a-z]+)?)>|\1|g
s|<([^<> =-][^<>]*)>|\&lt;\1\&gt;|g
s|#([0-9a-zA-Z])|\\#\1|g
