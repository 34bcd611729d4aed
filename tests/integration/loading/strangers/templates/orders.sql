select * from orders
where region = '{{ params.region }}'
{% include 'limit.sql' %}
