# environment: production
# Tomcat by its own script, as the service does it.
CATALINA_BASE=/var/lib/tomcat10 CATALINA_HOME=/usr/share/tomcat10 setsid /usr/share/tomcat10/bin/catalina.sh run &
up 8080
get 8080 / || true
