start
stop
